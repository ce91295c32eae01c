"""What units look for: the image found makes its unit answer more than what it began with."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo import explain
from kzoo.explain import maximize_activation


def network():
    return kzoo.create_model(
        "resnet20", image_shape=(12, 12, 3), num_classes=4, filters=(8, 8), depths=(1, 1)
    )


def test_the_image_that_is_found_makes_its_class_and_no_other_answer():
    model = network()
    images, answers = maximize_activation(model, [0, 3], steps=20, shift=1, smoothness=0.0)
    assert images.shape == (2, 12, 12, 3) and (answers[:, 1] > answers[:, 0]).all()
    scores = ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(scores[[0, 1], [0, 3]], answers[:, 1], rtol=1e-4, atol=1e-5)


def test_channels_of_maps_and_images_to_start_from():
    model, start = network(), np.random.default_rng(0).normal(size=(1, 12, 12, 3))
    options = dict(steps=10, shift=0, start=start)
    images, answers = maximize_activation(model, [2], "stage_1", smoothness=0.0, **options)
    assert answers[0, 1] > answers[0, 0] and images.shape == (1, 12, 12, 3)
    smooth, _ = maximize_activation(model, [2], "stage_1", smoothness=100.0, **options)
    assert np.abs(np.diff(smooth, axis=1)).mean() < np.abs(np.diff(images, axis=1)).mean()


def test_linear_units_find_their_own_weights():
    """The gradient of a linear unit is its weight: without smoothing the image is that, to scale."""
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    images, _ = maximize_activation(
        model, [1], steps=50, shift=0, smoothness=0.0, start=np.zeros((1, 4, 4, 1))
    )
    weight = ops.convert_to_numpy(model.layers[-1].kernel)[:, 1]
    assert np.corrcoef(images.ravel(), weight)[0, 1] > 0.9999


@pytest.mark.once
def test_similarity_is_that_of_the_paper():
    """Equation 5 with features in the place of products of examples; 1 for what a rotation and a scale undo."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 5)), random.normal(size=(30, 8))
    a, b = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm
    expected = norm(b.T @ a) ** 2 / (norm(a.T @ a) * norm(b.T @ b))
    np.testing.assert_allclose(explain.linear_cka(x, y), expected, rtol=1e-12)
    turned, _ = np.linalg.qr(random.normal(size=(5, 5)))
    np.testing.assert_allclose(explain.linear_cka(x, 3 * x @ turned + 1), 1, rtol=1e-12)
    assert explain.linear_cka(x, np.ones((30, 2))) == 0
    with pytest.raises(ValueError, match="same examples"):
        explain.linear_cka(x, y[:20])


def test_layers_are_compared_by_name():
    model, other = network(), network()
    images = np.random.default_rng(0).normal(size=(10, 12, 12, 3)).astype("float32")
    matrix, rows, columns = explain.layer_similarity(model, images)
    assert rows == columns == ["stem", "stage_1", "stage_2", "head"]
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1)
    features = kzoo.features(model)(images, training=False)
    expected = explain.linear_cka(features["stem"], features["stage_2"])
    np.testing.assert_allclose(matrix[0, 2], expected, rtol=1e-4)
    matrix, *_ = explain.layer_similarity(model, images, other, layers=["stage_2", "head"])
    assert matrix.shape == (2, 2) and 0 < matrix[0, 0] < 1
    with pytest.raises(ValueError, match="did you mean stage_1"):
        explain.layer_similarity(model, images, layers=["stage1"])


@pytest.mark.once
def test_examples_of_a_kind_are_laid_out_together():
    pytest.importorskip("sklearn")
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = 8 * np.eye(3)[labels] + random.normal(size=(60, 3))
    for method in ("tsne", "pca"):
        points = explain.embed(features, method)
        distances = np.square(points[:, None] - points).sum(-1) + 1e9 * np.eye(60)
        assert np.mean(labels[distances.argmin(1)] == labels) > 0.95
    with pytest.raises(ValueError, match="there is no method 'umap'"):
        explain.embed(features, "umap")


@pytest.mark.once
def test_mistakes_are_told():
    with pytest.raises(ValueError, match="units must lie between 0 and 3"):
        maximize_activation(network(), [4])
    free = kzoo.create_model("resnet20", image_shape=(None, None, 3), num_classes=4)
    with pytest.raises(ValueError, match="fixed size"):
        maximize_activation(free, [0])
