"""SAM: against a transcription of the paper, in `fit` with metrics, saved, and finding a flatter minimum."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.learners import SharpnessAware

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = np.tanh(X[:, :1] - X[:, 1:2])


def linear():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.set_weights([np.full((4, 1), 0.3, "float32"), np.zeros(1, "float32")])
    return model


@pytest.mark.parametrize("adaptive", [False, True])
def test_five_steps_are_those_of_the_paper(adaptive):
    learner = SharpnessAware(linear(), rho=0.5, adaptive=adaptive)
    learner.compile(keras.optimizers.SGD(0.1), loss="mse")
    history = learner.fit(X, Y, batch_size=32, epochs=5, shuffle=False, verbose=0).history["loss"]

    x = np.concatenate([X, np.ones((32, 1))], 1).astype("float64")
    w, losses = np.array([[0.3], [0.3], [0.3], [0.3], [0.0]]), []
    for _ in range(5):
        error = x @ w - Y
        losses.append(np.mean(error**2))
        g, scale = 2 * x.T @ error / 32, np.abs(w) if adaptive else 1.0
        error = x @ (w + 0.5 * scale**2 * g / np.linalg.norm(scale * g)) - Y
        w = w - 0.1 * 2 * x.T @ error / 32
    np.testing.assert_allclose(history, losses, rtol=1e-5)
    np.testing.assert_allclose(
        np.concatenate([v.numpy().ravel() for v in learner.model.weights]), w[:, 0], rtol=1e-4
    )


def classifier():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2, seed=1),
            keras.layers.Dense(2),
        ]
    )


def test_metrics_validation_and_saving_are_those_of_any_model(tmp_path):
    labels = (Y[:, 0] > 0).astype("int32")
    learner = SharpnessAware(classifier(), rho=0.05)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    history = learner.fit(X, labels, batch_size=8, epochs=6, validation_data=(X, labels), verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["accuracy"][-1] > 0.75 and history["loss"][-1] < history["loss"][0]
    value, accuracy = learner.evaluate(X, labels, verbose=0)
    assert accuracy == pytest.approx(history["val_accuracy"][-1])
    learner.save(tmp_path / "sam.keras")
    again = keras.models.load_model(tmp_path / "sam.keras")
    assert again.evaluate(X, labels, verbose=0)[0] == pytest.approx(value, rel=1e-5)
    again.fit(X, labels, batch_size=8, epochs=1, verbose=0)


def test_statistics_of_batch_norm_are_those_of_the_first_pass():
    learner = SharpnessAware(
        keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(momentum=0.0)]
        ),
        rho=5.0,
    )
    learner.compile(keras.optimizers.SGD(0.0), loss="mse")
    dense = learner.model.layers[0](ops.convert_to_tensor(X))
    learner.train_on_batch(X, np.tile(Y, 3))
    np.testing.assert_allclose(
        learner.model.layers[1].moving_mean.numpy(), ops.convert_to_numpy(dense).mean(0), atol=1e-5
    )


def test_a_radius_that_is_none_is_named():
    with pytest.raises(ValueError, match="rho=0"):
        SharpnessAware(linear(), rho=0)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_learns_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    learner = SharpnessAware(linear(), rho=0.05)
    learner.compile(keras.optimizers.SGD(0.1), loss="mse")
    losses = learner.fit(X, Y, batch_size=32, epochs=8, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0] and np.isfinite(losses).all()


def test_an_evaluation_of_its_own_starts_anew_each_time():
    class Own(SharpnessAware):
        def evaluate_step(self, data):
            x, y = data
            return {"distance": ops.mean(ops.abs(self(x) - y))}

    learner = Own(linear())
    learner.compile(keras.optimizers.SGD(0.1), loss="mse")
    first = learner.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)["distance"]
    learner.fit(X, Y, batch_size=32, epochs=3, verbose=0)
    second = learner.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)["distance"]
    expected = np.abs(ops.convert_to_numpy(learner.model(X)) - Y).mean()
    assert second == pytest.approx(expected, rel=1e-5) and second != pytest.approx(first)
