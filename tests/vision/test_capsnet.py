"""Capsule networks: the paper's size, the loss by hand, and learning on a drawn task on each engine."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.learners import CapsuleNetwork

SIZES = dict(filters=8, kernel_size=3, primary_capsules=2, primary_dim=4, dim=4, decoder=(16,))


def network(**arguments):
    kwargs = dict(image_shape=(9, 9, 1), num_classes=3, reconstruction=True) | SIZES | arguments
    return kzoo.create_model("capsnet_small", **kwargs)


def bars(n=96, seed=0):
    """Images with a bar at the left, in the middle or below: three classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = rng.uniform(0, 0.2, (n, 9, 9, 1)).astype("float32")
    for image, label in zip(images, labels):
        image[((slice(None), 1), (slice(None), 4), (7, slice(None)))[label]] = 0.9
    return images, labels


@pytest.mark.once
def test_the_papers_network_has_the_papers_parameters():
    count = {}
    for reconstruction in (False, True):
        with keras.StatelessScope(initialize_variables=False):
            model = kzoo.create_model("capsnet", reconstruction=reconstruction)  # at MNIST's size and classes
        count[reconstruction] = model.count_params()
    assert [round(count[key] / 1e6, 1) for key in (False, True)] == [6.8, 8.2]  # section 5 of the paper


def test_the_loss_is_the_margin_and_the_distance_from_what_the_true_capsule_paints():
    model, (x, y) = network(), bars(4)
    learner = CapsuleNetwork(model, reconstruction_weight=0.01)
    learner.compile(keras.optimizers.SGD(0.0))
    logs = learner.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    capsules = ops.convert_to_numpy(keras.Model(model.input, model.get_layer("head").output)(x))
    lengths = np.linalg.norm(capsules, axis=-1)
    truth = np.eye(3)[y]
    short, long = np.maximum(0, 0.9 - lengths) ** 2, np.maximum(0, lengths - 0.1) ** 2
    margin = (truth * short + 0.5 * (1 - truth) * long).sum(-1).mean()
    kept = (capsules * truth[..., None]).reshape(4, -1).astype("float32")
    squares = ((ops.convert_to_numpy(model.get_layer("decoder")(kept)) - x) ** 2).sum((1, 2, 3)).mean()
    wanted = {"margin": margin, "reconstruction": squares, "loss": margin + 0.01 * squares}
    wanted["accuracy"] = np.mean(lengths.argmax(-1) == y)
    assert logs == pytest.approx(wanted, rel=1e-4)
    trained = learner.fit(x, truth, batch_size=4, epochs=1, verbose=0).history
    assert {name: values[0] for name, values in trained.items()} == pytest.approx(wanted, rel=1e-4)


def test_without_labels_the_longest_capsule_paints():
    model, (x, _) = network(), bars(5)
    outputs = model(x)
    capsules = keras.Model(model.input, model.get_layer("head").output)(x)
    lengths, capsules = ops.convert_to_numpy(outputs["lengths"]), ops.convert_to_numpy(capsules)
    kept = np.zeros_like(capsules)
    kept[np.arange(5), lengths.argmax(1)] = capsules[np.arange(5), lengths.argmax(1)]
    image = model.get_layer("decoder")(kept.reshape(5, -1))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["image"]), ops.convert_to_numpy(image), atol=1e-6)
    assert image.shape == x.shape


def test_it_learns_and_is_saved_with_its_optimizer(tmp_path):
    learner, (x, y) = CapsuleNetwork(network()), bars()
    learner.compile(keras.optimizers.Adam(0.01))
    history = learner.fit(x, y, batch_size=16, epochs=8, validation_data=(x, y), verbose=0).history
    assert set(history) == {
        prefix + name for prefix in ("", "val_") for name in ("loss", "margin", "reconstruction", "accuracy")
    }
    assert (
        history["val_accuracy"][-1] > 0.9 and history["val_reconstruction"][-1] < history["reconstruction"][0]
    )
    lengths = learner.predict(x, verbose=0)
    assert lengths.shape == (96, 3) and np.mean(lengths.argmax(1) == y) == pytest.approx(
        history["val_accuracy"][-1]
    )
    learner.save(tmp_path / "capsules.keras")
    again = keras.models.load_model(tmp_path / "capsules.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), lengths, atol=1e-6)
    resumed = again.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0).history
    assert resumed["loss"][0] < history["loss"][0]


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: network(num_classes=0), "num_classes=0"),
        (lambda: network(image_shape=(4, 9, 1)), "at least 5 x 5"),
        (lambda: network(image_shape=(None, 9, 1)), "fixed image size"),
        (lambda: CapsuleNetwork(network(reconstruction=False)), "reconstruction=True"),
        (lambda: CapsuleNetwork(network(), reconstruction_weight=-1), "reconstruction_weight=-1"),
    ],
)
def test_wrong_networks_are_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
