"""What units look for: the image found makes its unit answer more than what it began with."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
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
def test_mistakes_are_told():
    with pytest.raises(ValueError, match="units must lie between 0 and 3"):
        maximize_activation(network(), [4])
    free = kzoo.create_model("resnet20", image_shape=(None, None, 3), num_classes=4)
    with pytest.raises(ValueError, match="fixed size"):
        maximize_activation(free, [0])
