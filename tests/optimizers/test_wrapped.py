"""Optimizers around optimizers: against optax and PyTorch, in `fit`, in a `Learner`, saved in the middle."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.optimizers import LayerwiseLearningRates, Lookahead, NormalizedGradient, layer_decay


def gradient(step, shape=(4, 3)):
    return np.random.default_rng(step).normal(size=shape).astype("float32")


def steps_of(optimizer, count=50, shape=(4, 3)):
    """The variable after each of `count` given gradients."""
    variable, seen = keras.Variable(gradient(99, shape), name="v"), []
    optimizer.build([variable])
    for step in range(count):
        optimizer.apply([ops.convert_to_tensor(gradient(step, shape))], [variable])
        seen.append(ops.convert_to_numpy(variable).copy())
    return np.stack(seen)


@pytest.mark.once
@pytest.mark.parametrize("inner", ["sgd", "adam"])
def test_lookahead_is_that_of_optax_for_fifty_steps(inner):
    import optax

    fast = {"sgd": optax.sgd(0.1, momentum=0.9), "adam": optax.adam(0.1, eps=1e-7)}[inner]
    theirs = optax.lookahead(fast, sync_period=5, slow_step_size=0.8)
    params = optax.LookaheadParams.init_synced(gradient(99))
    state, seen = theirs.init(params), []
    for step in range(50):
        updates, state = theirs.update(gradient(step), state, params)
        params = optax.apply_updates(params, updates)
        seen.append(np.asarray(params.fast))
    ours = {"sgd": keras.optimizers.SGD(0.1, momentum=0.9), "adam": keras.optimizers.Adam(0.1)}[inner]
    np.testing.assert_allclose(steps_of(Lookahead(ours, 5, 0.8)), seen, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("inner", [lambda: keras.optimizers.SGD(0.1), lambda: keras.optimizers.Adam(0.1)])
def test_lookahead_of_step_size_one_is_the_optimizer_inside(inner):
    np.testing.assert_allclose(
        steps_of(Lookahead(inner(), 3, 1.0), 9), steps_of(inner(), 9), rtol=1e-6, atol=1e-6
    )


def test_lookahead_begins_with_the_weights_of_its_first_step_not_of_its_making():
    variable = keras.Variable(np.zeros((4, 3), "float32"), name="v")
    optimizer = Lookahead(keras.optimizers.SGD(0.0), sync_period=1)
    optimizer.build([variable])
    variable.assign(gradient(3))  # as load_weights does
    optimizer.apply([ops.zeros((4, 3))], [variable])
    np.testing.assert_allclose(ops.convert_to_numpy(variable), gradient(3), rtol=1e-6)


def test_lookahead_counts_updates_not_accumulated_batches():
    plain = steps_of(Lookahead(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), 2, 0.5), 8)
    moved = np.abs(np.diff(plain, axis=0)).max(axis=(1, 2)) > 0
    np.testing.assert_array_equal(moved, [True, False, True, False, True, False, True])


@pytest.mark.parametrize(
    "inner",
    [
        lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),
        lambda rate: keras.optimizers.RMSprop(rate, centered=True),
    ],
)
def test_a_factor_is_a_learning_rate_of_its_own_for_fifty_steps(inner):
    ours = steps_of(LayerwiseLearningRates(inner(0.1), {"v": 0.3}))
    np.testing.assert_allclose(ours, steps_of(inner(0.03)), rtol=2e-4, atol=1e-4)


def test_the_first_pattern_that_matches_counts_and_zero_freezes():
    variables = [keras.Variable(np.ones(2, "float32"), name=name) for name in ("stem", "block_1", "head")]
    optimizer = LayerwiseLearningRates(keras.optimizers.SGD(1.0), {"stem": 0.0, "block*": 0.5, "*": 2.0})
    optimizer.apply([ops.ones(2)] * 3, variables)
    np.testing.assert_allclose([ops.convert_to_numpy(v)[0] for v in variables], [1.0, 0.5, -1.0])
    with pytest.raises(ValueError, match="'bloc_1'"):
        LayerwiseLearningRates(keras.optimizers.SGD(1.0), {"bloc_1": 1.0}).build(variables)


def test_layer_decay_falls_towards_the_input_and_finds_every_layer():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.ReLU(),
            keras.layers.Dense(4),
            keras.layers.Dense(1),
        ]
    )
    optimizer = LayerwiseLearningRates(keras.optimizers.SGD(0.1), layer_decay(model, 0.5))
    optimizer.build(model.trainable_variables)
    assert [optimizer.factor(v) for v in model.trainable_variables] == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


def test_normalized_gradients_have_length_one_together_or_each():
    for per_variable in (False, True):
        variables = [keras.Variable(np.zeros(n, "float32")) for n in (3, 4)]
        optimizer = NormalizedGradient(keras.optimizers.SGD(1.0), per_variable=per_variable)
        optimizer.apply([ops.ones(3) * 1e4, ops.ones(4) * 1e-4], variables)
        lengths = [float(np.linalg.norm(ops.convert_to_numpy(v))) for v in variables]
        assert lengths == pytest.approx([1.0, 1.0] if per_variable else [1.0, 2e-4 / np.sqrt(3e8)], rel=1e-4)
    variable = keras.Variable(np.ones(3, "float32"))
    NormalizedGradient(keras.optimizers.SGD(1.0)).apply([ops.zeros(3)], [variable])
    np.testing.assert_array_equal(ops.convert_to_numpy(variable), 1.0)


WRAPPED = {
    "Lookahead": lambda: Lookahead(keras.optimizers.Adam(0.05), 3, 0.5),
    "LayerwiseLearningRates": lambda: LayerwiseLearningRates(keras.optimizers.Adam(0.05), {"*kernel": 0.5}),
    "NormalizedGradient": lambda: NormalizedGradient(keras.optimizers.SGD(0.05, momentum=0.9)),
    "one in another": lambda: Lookahead(NormalizedGradient(keras.optimizers.Adam(0.05, use_ema=True)), 3),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_half_a_training_saved_and_loaded_ends_as_the_whole_one(name, tmp_path):
    rng = np.random.default_rng(0)
    tokens, y = rng.integers(0, 9, (16, 3)), rng.normal(size=(16, 1)).astype("float32")

    def fit(model):
        model.fit(tokens, y, batch_size=4, epochs=1, shuffle=False, verbose=0)

    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            keras.layers.Embedding(9, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(WRAPPED[name](), "mse")
    fit(model)
    model.save(tmp_path / "half.keras")
    again = keras.models.load_model(tmp_path / "half.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    fit(model)
    fit(again)
    for ours, theirs in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    again.optimizer.learning_rate = 0.01
    assert (
        float(again.optimizer.learning_rate) == pytest.approx(0.01) and int(again.optimizer.iterations) == 8
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lookahead("adam", sync_period=0), "sync_period=0"),
        (lambda: Lookahead("adam", slow_step_size=1.5), "slow_step_size=1.5"),
        (lambda: LayerwiseLearningRates("adam", {"a": -1.0}), "'a': -1.0"),
        (lambda: layer_decay(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), 0.0), "decay=0.0"),
    ],
)
def test_what_makes_no_optimizer_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda n: keras.optimizers.Adam(0.05, gradient_accumulation_steps=n),
        lambda n: LayerwiseLearningRates(
            keras.optimizers.Adam(0.05, gradient_accumulation_steps=n), {"*bias": 0.5}
        ),
        lambda n: Lookahead(keras.optimizers.SGD(0.05, momentum=0.9, gradient_accumulation_steps=n), 2),
    ],
)
def test_four_batches_of_32_accumulated_are_one_of_128(make):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype("float32")
    y = np.tanh(x[:, :2])
    ends = []
    for batch_size, accumulated in ((128, None), (32, 4)):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)])
        model.set_weights(
            [np.random.default_rng(i).normal(size=v.shape) for i, v in enumerate(model.weights)]
        )
        model.compile(make(accumulated), "mse")
        model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for ours, theirs in zip(*ends):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
