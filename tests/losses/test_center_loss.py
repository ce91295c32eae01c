"""Centre loss: the paper's loss and its rule for centres, transcribed; saved; trained in `fit`."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.layers import CenterLoss

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
LABELS = np.array([0, 2, 2, 0, 2, 3])


def by_hand(centers, weight, rate):
    loss, moved = 0.0, centers.copy()
    for x, y in zip(X, LABELS):
        loss += weight * 0.5 * np.sum((x - centers[y]) ** 2) / len(X)
    for j in range(len(centers)):
        members = X[j == LABELS]
        moved[j] -= rate * np.sum(centers[j] - members, axis=0) / (1 + len(members))
    return loss, moved


def test_loss_gradient_and_centres_are_those_of_the_paper():
    layer = CenterLoss(5, weight=0.1, rate=0.5)
    centers = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    layer.build(((None, 3), (None,)))
    layer.set_weights([centers])

    def loss(x, training):
        layer((x, LABELS), training=training)
        return ops.sum(ops.stack(layer.losses))

    expected, moved = by_hand(centers, 0.1, 0.5)
    value, gradient = kzoo.value_and_grad(loss)(ops.convert_to_tensor(X), False)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), 0.1 * (X - centers[LABELS]) / 6, rtol=1e-5)
    np.testing.assert_array_equal(layer.get_weights()[0], centers)  # not in training: they stay
    value, _ = kzoo.value_and_grad(loss)(ops.convert_to_tensor(X), True)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[0], moved, rtol=1e-5)
    assert layer.trainable_weights == []


def test_fit_moves_the_centres_and_saves_them(tmp_path):
    features, labels = keras.Input((3,)), keras.Input((), dtype="int32")
    outputs = CenterLoss(4, weight=0.1, rate=1.0, name="centers")((features, labels))
    model = keras.Model([features, labels], keras.layers.Dense(4)(outputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    model.fit([X, LABELS], LABELS, epochs=1, batch_size=6, verbose=0)
    _, moved = by_hand(np.zeros((4, 3), "float32"), 0.1, 1.0)
    np.testing.assert_allclose(model.get_layer("centers").get_weights()[0], moved, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras").get_layer("centers")
    np.testing.assert_array_equal(restored.get_weights()[0], model.get_layer("centers").get_weights()[0])
    assert restored.get_config() == model.get_layer("centers").get_config()


@pytest.mark.once
def test_wrong_arguments_are_refused():
    for make in (
        lambda: CenterLoss(0),
        lambda: CenterLoss(3, rate=2.0),
        lambda: CenterLoss(3)((np.zeros((2, 3, 4)), np.zeros(2))),
    ):
        with pytest.raises(ValueError, match="Received: "):
            make()
