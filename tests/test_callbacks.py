"""Range test, snapshots, weight averages and the monitor: during `fit`, on the engine of this process."""

import itertools
import warnings

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from kzoo.callbacks import LearningRateFinder, Snapshots, StochasticWeightAverage, TrainingMonitor
from kzoo.callbacks.weights import refresh_batch_norm
from kzoo.optimizers.schedules import Restarts

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] > 0).astype("float32")


def network(norm=False, rate=0.1, activation="relu"):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4,)), keras.layers.Dense(8, activation=activation, name="hidden")]
    layers += [keras.layers.BatchNormalization()] if norm else []
    model = keras.Sequential([*layers, keras.layers.Dense(1, name="head")])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
    return model


def fit(model, *callbacks, epochs=1, batch_size=16):
    return model.fit(
        X, Y, batch_size=batch_size, epochs=epochs, callbacks=list(callbacks), shuffle=False, verbose=0
    )


def ink(path):
    """How far a picture is from blank."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L")).std()


def test_the_range_test_gives_everything_back_and_its_suggestion_trains(tmp_path):
    model = network(norm=True)
    fit(model)
    before = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
    finder = LearningRateFinder(1e-4, 100.0, steps=60)
    fit(model, finder, epochs=60, batch_size=64)
    for old, variable in zip(before, [*model.variables, *model.optimizer.variables]):
        np.testing.assert_array_equal(variable.numpy(), old)
    assert len(finder.losses) < 60  # it diverged, and was stopped
    np.testing.assert_allclose(finder.rates[:3], 1e-4 * (1e6) ** (np.arange(3) / 59), rtol=1e-5)
    assert 1e-3 < finder.suggestion < 10
    assert ink(finder.plot(tmp_path / "rates.png")) > 5
    trained = network(norm=True, rate=finder.suggestion)
    losses = fit(trained, epochs=15).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_each_loss_of_the_range_test_is_that_of_its_batch():
    model = network(rate=1e-9)
    finder = LearningRateFinder(1e-12, 1e-11, steps=10)
    fit(model, finder, epochs=3)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    for i in range(4):
        part = slice(16 * i, 16 * i + 16)
        assert finder.losses[i] == pytest.approx(float(loss(Y[part], model(X[part]))), rel=1e-4)


def test_a_range_test_that_cannot_be_says_why():
    model = network(rate=keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(ValueError, match="not with a schedule"):
        fit(model, LearningRateFinder())
    with pytest.raises(ValueError, match="lowest=1"):
        LearningRateFinder(1, 0.1)
    with pytest.raises(ValueError, match="0 finite losses"):
        _ = LearningRateFinder().suggestion


def test_snapshots_of_a_cycling_rate_differ_and_each_is_whole(tmp_path):
    cycle = 2 * 4
    model = network(rate=Restarts(keras.optimizers.schedules.CosineDecay(0.5, cycle), cycle))
    snapshots = Snapshots(tmp_path / "members", every=2)
    fit(model, snapshots, epochs=6)
    assert [path.name for path in snapshots.paths] == [f"member-00{i}.weights.h5" for i in (1, 2, 3)]
    members = []
    for path in snapshots.paths:
        model.load_weights(path)
        members.append(ops.convert_to_numpy(model(X)))
    assert min(np.abs(a - b).mean() for a, b in itertools.pairwise(members)) > 1e-3
    fit(model, snapshots, epochs=2)
    assert len(snapshots.paths) == 1  # a new training begins with none
    with pytest.raises(ValueError, match="every=0"):
        Snapshots(tmp_path, every=0)


def test_averaged_weights_are_the_mean_of_those_at_the_ends_of_epochs():
    ends = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            ends.append([v.numpy() for v in self.model.trainable_variables])

    model = network()
    fit(model, Keep(), StochasticWeightAverage(start=1), epochs=4)
    for variable, *values in zip(model.trainable_variables, *ends[1:]):
        np.testing.assert_allclose(variable.numpy(), np.mean(values, 0), rtol=1e-5, atol=1e-7)


def test_batch_norm_gets_the_statistics_of_the_averaged_weights():
    model = network(norm=True)
    batches = [X[i : i + 16] for i in range(0, 64, 16)]
    fit(model, StochasticWeightAverage(start=0, data=batches), epochs=3)
    hidden = ops.convert_to_numpy(model.layers[0](X)).reshape(4, 16, 8)
    norm = model.layers[1]
    np.testing.assert_allclose(norm.moving_mean.numpy(), hidden.mean((0, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), hidden.var(1).mean(0), rtol=1e-3, atol=1e-5)
    assert norm.momentum == pytest.approx(0.99)
    with pytest.raises(ValueError, match="data=None"):
        fit(network(norm=True), StochasticWeightAverage(start=0))
    with pytest.raises(ValueError, match="no batch"):
        refresh_batch_norm(model, [])


def test_the_monitor_sees_the_gradients_of_its_batch_and_training_does_not_notice(tmp_path):
    watched, alone = network(norm=True), network(norm=True)
    alone.set_weights(watched.get_weights())
    monitor = TrainingMonitor(X[:16], Y[:16], path=tmp_path / "health.png")
    losses = fit(watched, monitor, epochs=3).history["loss"]
    assert fit(alone, epochs=3).history["loss"] == pytest.approx(losses, rel=1e-6)
    assert len(monitor.looks) == 3 and ink(tmp_path / "health.png") > 5
    seen = monitor.looks[-1]
    assert list(seen["gradients"]) == [v.path for v in watched.trainable_variables]
    # The head's bias: its gradient is the mean of σ(z) − y.
    z = ops.convert_to_numpy(watched(X[:16], training=True))
    expected = np.abs(np.mean(1 / (1 + np.exp(-z)) - Y[:16]))
    assert seen["gradients"][watched.trainable_variables[-1].path] == pytest.approx(expected, rel=1e-4)
    assert seen["activations"]["hidden"] > 0 and 0 <= seen["dead"]["hidden"] < 1


def test_the_monitor_warns_once_of_dead_vanishing_and_exploding():
    model = network()
    hidden = model.layers[0]
    hidden.set_weights([hidden.get_weights()[0], np.full(8, -100.0, "float32")])
    monitor = TrainingMonitor(X, Y)
    with pytest.warns(UserWarning, match="100% of the units of hidden"):
        fit(model, monitor, epochs=2)
    assert ("dead", "hidden") in monitor.warned and ("vanishing", hidden.kernel.path) in monitor.warned
    assert len(monitor.warned) == len(set(monitor.warned))
    with pytest.warns(UserWarning, match="exploding"):
        fit(network(rate=0.0), TrainingMonitor(X * 1e6, Y, exploding=10.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(network(activation="tanh"), TrainingMonitor(X, Y))
