"""Schedules against Keras's, optax's and PyTorch's, against their formulas, saved, and in the middle of a training."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.optimizers import schedules
from kzoo.optimizers.schedules import Chain, Cyclical, Noam, OneCycle, Restarts, Stretched, Warmup

Keras = keras.optimizers.schedules
STEPS = np.arange(60)
EVERY = {
    "Warmup": lambda: Warmup(Keras.CosineDecay(0.1, 20), 7, start=0.01),
    "Noam": lambda: Noam(512, 16),
    "Cyclical": lambda: Cyclical(0.01, 0.1, 8, "triangular2"),
    "OneCycle": lambda: OneCycle(0.1, 40),
    "Restarts": lambda: Restarts(Keras.CosineDecay(0.1, 10), 10, length=2.0, height=0.5),
    "Chain": lambda: Chain([0.1, Warmup(0.2, 5), 0.01], [10, 30]),
    "Stretched": lambda: Stretched(Keras.ExponentialDecay(0.1, 3, 0.5), 4),
}


def values(schedule, steps=STEPS):
    """The rates of many steps, asked for at once: step by step would take JAX a second each."""
    return ops.convert_to_numpy(schedule(ops.convert_to_tensor(np.asarray(steps))))


def test_every_schedule_is_tried_here():
    assert set(EVERY) == set(schedules.__all__)


def test_warm_up_of_a_cosine_is_what_keras_calls_a_warm_up_target():
    theirs = Keras.CosineDecay(0.02, 20, warmup_target=0.1, warmup_steps=8)  # takes one step at a time
    steps = [0, 3, 7, 8, 15, 28, 40]
    ours = values(Warmup(Keras.CosineDecay(0.1, 20), 8, start=0.02), steps)
    np.testing.assert_allclose(ours, [float(theirs(step)) for step in steps], rtol=1e-5, atol=1e-8)


def test_noam_is_the_formula_of_the_paper_and_highest_at_the_end_of_its_warm_up():
    s = STEPS + 1.0
    np.testing.assert_allclose(
        values(Noam(512, 16, 2.0)), 2 * 512**-0.5 * np.minimum(s**-0.5, s * 16**-1.5), rtol=1e-5
    )
    assert values(Noam(512, 16)).argmax() == 15


@pytest.mark.parametrize("length", [1.0, 2.0, 1.5])
def test_restarts_of_a_cosine_are_what_keras_has(length):
    theirs = Keras.CosineDecayRestarts(0.1, 8, t_mul=length, m_mul=0.5)
    ours = Restarts(Keras.CosineDecay(0.1, 8), 8, length=length, height=0.5)
    steps = [
        step for step in STEPS if abs(step - 20) > 0 or length != 1.5
    ]  # there Keras rounds into the old cycle
    np.testing.assert_allclose(values(ours, steps), values(theirs, steps), rtol=1e-4, atol=1e-7)


def test_a_restart_begins_at_the_height_of_its_cycle():
    ours = values(Restarts(Keras.CosineDecay(0.1, 8), 8, length=2.0, height=0.5))
    np.testing.assert_allclose(ours[[0, 8, 24, 56]], [0.1, 0.05, 0.025, 0.0125], rtol=1e-4)


@pytest.mark.once
@pytest.mark.parametrize("anneal", ["cosine", "linear"])
def test_one_cycle_is_that_of_pytorch(anneal):
    import torch

    strategy = {"cosine": "cos", "linear": "linear"}[anneal]
    options = dict(
        total_steps=40, pct_start=0.25, div_factor=20, final_div_factor=100, anneal_strategy=strategy
    )
    theirs = _of_pytorch(lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.3, **options), 40)
    ours = OneCycle(0.3, 40, rise=0.25, start_divisor=20, end_divisor=100, anneal=anneal)
    np.testing.assert_allclose(values(ours, range(40)), theirs, rtol=2e-5, atol=1e-7)
    assert np.ptp(values(ours, [39, 45, 1000])) < 1e-8


@pytest.mark.once
@pytest.mark.parametrize("mode", Cyclical.MODES)
def test_cyclical_is_that_of_pytorch(mode):
    import torch

    theirs = _of_pytorch(
        lambda o: torch.optim.lr_scheduler.CyclicLR(
            o, 0.01, 0.1, step_size_up=7, mode=mode, gamma=0.9, cycle_momentum=False
        ),
        60,
    )
    np.testing.assert_allclose(values(Cyclical(0.01, 0.1, 7, mode, gamma=0.9)), theirs, rtol=2e-5)


@pytest.mark.once
def test_a_chain_is_optax_s_join():
    import optax

    theirs = optax.join_schedules(
        [optax.linear_schedule(0.0, 0.1, 6), optax.cosine_decay_schedule(0.1, 20), lambda _: 0.003], [6, 30]
    )
    ours = Chain([Warmup(0.1, 6), Keras.CosineDecay(0.1, 20), 0.003], [6, 30])
    np.testing.assert_allclose(values(ours), [float(theirs(s)) for s in STEPS], rtol=1e-5, atol=1e-8)


def test_stretched_takes_each_rate_as_often_as_gradients_are_accumulated():
    decay = Keras.ExponentialDecay(0.1, 3, 0.5)
    np.testing.assert_allclose(values(Stretched(decay, 4)), np.repeat(values(decay, range(15)), 4), rtol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_saved_loaded_and_saved_again_it_is_the_same(name):
    schedule = EVERY[name]()
    saved = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(saved)
    assert keras.saving.serialize_keras_object(again) == saved
    np.testing.assert_array_equal(values(again, STEPS[::7]), values(schedule, STEPS[::7]))


def test_training_under_a_schedule_goes_on_in_its_middle_after_saving(tmp_path):
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(EVERY["OneCycle"](), momentum=0.9), "mse")
    model.fit(x, x[:, :1], batch_size=2, epochs=1, shuffle=False, verbose=0)
    model.save(tmp_path / "half.keras")
    model.fit(x, x[:, :1], batch_size=2, epochs=1, shuffle=False, verbose=0)
    again = keras.models.load_model(tmp_path / "half.keras")
    assert int(again.optimizer.iterations) == 8
    again.fit(x, x[:, :1], batch_size=2, epochs=1, shuffle=False, verbose=0)
    for ours, theirs in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Warmup(0.1, 0), "warmup_steps=0"),
        (lambda: Cyclical(0.1, 1.0, 5, "square"), "mode='square'"),
        (lambda: OneCycle(0.1, 1), "total_steps"),
        (lambda: OneCycle(0.1, 10, rise=1.0), "rise=1.0"),
        (lambda: OneCycle(0.1, 10, anneal="steps"), "anneal='steps'"),
        (lambda: Restarts(0.1, 5, length=0.5), "length=0.5"),
        (lambda: Chain([0.1, 0.2], []), "2 schedules"),
        (lambda: Chain([0.1, 0.2, 0.3], [5, 5]), r"boundaries=\[5, 5\]"),
    ],
)
def test_what_makes_no_schedule_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def _of_pytorch(make, steps):
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates
