"""DropConnect, DropPath, DropBlock and variational dropout: off in inference, right in the mean, as the papers say."""

import keras
import numpy as np
import pytest
from computing import computed
from keras import ops

import kzoo
from kzoo import layers


def numpy_of(x):
    return ops.convert_to_numpy(x)


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


RANDOM = {
    "DropConnect": (lambda seed: layers.DropConnect(keras.layers.Dense(3), 0.4, seed=seed), (4, 5)),
    "DropConnect, per example": (
        lambda seed: layers.DropConnect(keras.layers.Dense(3), 0.4, per_example=True, seed=seed),
        (4, 5),
    ),
    "DropPath": (lambda seed: layers.DropPath(0.4, seed=seed), (8, 5)),
    "DropBlock2D": (lambda seed: layers.DropBlock2D(0.3, 3, seed=seed), (2, 8, 8, 3)),
    "VariationalDense": (lambda seed: layers.VariationalDense(3, log_variance=-1.0, seed=seed), (4, 5)),
    "VariationalConv2D": (
        lambda seed: layers.VariationalConv2D(3, 3, log_variance=-1.0, seed=seed),
        (2, 8, 8, 3),
    ),
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_decides_the_draws_and_inference_draws_nothing(name):
    make, shape = RANDOM[name]
    x, outputs = ops.convert_to_tensor(_draw(*shape)), []
    for seed in (7, 7, 8):
        layer = make(seed)
        layer.build(shape)
        for i, weight in enumerate(layer.trainable_weights[:1]):
            weight.assign(_draw(*weight.shape, seed=i))
        modes = (False, True, True, False)
        calm, *drawn, again = computed(lambda x: [layer(x, training=mode) for mode in modes], x)  # noqa: B023
        np.testing.assert_array_equal(again, calm)
        assert not np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], calm)
        outputs.append(drawn)
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    n, rate = 20_000, 0.3
    outputs = numpy_of(layers.DropPath(rate, seed=1)(ops.ones((n, 2, 2)), training=True)).reshape(n, -1)
    assert (outputs == outputs[:, :1]).all()
    np.testing.assert_allclose(np.unique(outputs), [0, 1 / (1 - rate)], rtol=1e-6)
    assert abs((outputs[:, 0] == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / n)


def test_drop_path_passes_the_gradient_of_kept_examples_only():
    layer, x = layers.DropPath(0.5, seed=3), ops.convert_to_tensor(_draw(64, 3))
    twin = layers.DropPath(0.5, seed=3)
    gradient = numpy_of(kzoo.grad(lambda x: ops.sum(layer(x, training=True)))(x))
    np.testing.assert_allclose(gradient, numpy_of(twin(ops.ones((64, 3)), training=True)))
    assert {0.0, 2.0} == set(gradient.ravel().tolist())


@pytest.mark.parametrize("per_example", [False, True])
def test_drop_connect_drops_weights_not_units_and_keeps_the_mean(per_example):
    # Inputs that are rows of the identity read the effective kernel off the outputs.
    d, units, rate = 60, 50, 0.3
    layer = layers.DropConnect(keras.layers.Dense(units, use_bias=False), rate, per_example, seed=5)
    layer.build((None, d))
    layer.layer.kernel.assign(np.ones((d, units)))
    kernel = computed(lambda: layer(ops.eye(d), training=True))
    np.testing.assert_allclose(np.unique(kernel), [0, 1 / (1 - rate)], rtol=1e-5)
    assert abs((kernel == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / kernel.size)
    same = computed(lambda: layer(ops.ones((2, d)), training=True))
    assert np.allclose(same[0], same[1]) != per_example  # one mask for the batch, or one each


def test_drop_connect_gives_dropped_weights_no_gradient():
    layer = layers.DropConnect(keras.layers.Dense(4, use_bias=False), 0.5, seed=2)
    twin = layers.DropConnect(keras.layers.Dense(4, use_bias=False), 0.5, seed=2)
    for each in (layer, twin):
        each.build((None, 5))
        each.layer.kernel.assign(np.ones((5, 4)))
    gradient = kzoo.grad(lambda: ops.sum(layer(ops.eye(5), training=True)), [layer.layer.kernel])()[0]
    np.testing.assert_allclose(numpy_of(gradient), numpy_of(twin(ops.eye(5), training=True)), rtol=1e-6)


def test_drop_connect_at_rate_zero_and_in_inference_is_the_wrapped_layer():
    x = ops.convert_to_tensor(_draw(2, 6, 5))
    for inner, weight in (
        (keras.layers.Conv1D(3, 2, activation="tanh"), "kernel"),
        (keras.layers.LSTM(3), "recurrent_kernel"),
    ):
        layer = layers.DropConnect(inner, 0.5, weight=weight)
        np.testing.assert_allclose(numpy_of(layer(x, training=False)), numpy_of(inner(x)), atol=1e-6)
        layer.rate = 0.0
        np.testing.assert_allclose(numpy_of(layer(x, training=True)), numpy_of(inner(x)), atol=1e-6)


def test_the_wrapped_layers_own_state_goes_on_changing():
    class Counting(keras.layers.Dense):
        def build(self, shape):
            super().build(shape)
            self.calls = self.add_weight((), "zeros", trainable=False, name="calls")

        def call(self, inputs):
            self.calls.assign(self.calls + 1.0)
            return super().call(inputs)

    layer = layers.DropConnect(Counting(2), 0.5)
    for _ in range(3):
        layer(ops.ones((1, 2)), training=True)
    assert float(layer.layer.calls.numpy()) == 3.0


def test_drop_block_drops_whole_squares_and_keeps_the_sum():
    n, size, rate = 3000, 3, 0.1
    layer = layers.DropBlock2D(rate, size, seed=4)
    outputs = computed(lambda: layer(ops.ones((n, 10, 8, 2)), training=True))
    kept = outputs > 0
    np.testing.assert_allclose(outputs.mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(np.unique(outputs[kept]), kept.size / kept.sum(), rtol=1e-5)
    windows = np.lib.stride_tricks.sliding_window_view(kept, (size, size), axis=(1, 2))
    dropped = ~windows.any(axis=(-1, -2))  # a square that is all dropped, by its corner
    covered = np.zeros_like(kept)
    for i in range(size):
        for j in range(size):
            covered[:, i : i + dropped.shape[1], j : j + dropped.shape[2]] |= dropped
    np.testing.assert_array_equal(covered, ~kept)
    # The chance that none of the squares that could cover a unit was drawn, by γ of equation 1.
    gamma = rate / size**2 * (10 * 8) / (8 * 6)
    ways = np.minimum.reduce([np.arange(1, 11), np.arange(10, 0, -1), np.full(10, 3)])[:, None]
    ways = ways * np.minimum.reduce([np.arange(1, 9), np.arange(8, 0, -1), np.full(8, 3)])
    np.testing.assert_allclose(
        (~kept).mean(axis=(0, 3)), 1 - (1 - gamma) ** ways, atol=5 * 0.5 / np.sqrt(2 * n)
    )


def test_drop_block_follows_its_rate_variable_and_survives_dropping_everything():
    layer = layers.DropBlock2D(0.0, 7, per_channel=False, seed=4)
    x = ops.ones((50, 7, 7, 2))
    np.testing.assert_array_equal(numpy_of(layer(x, training=True)), 1)
    layer.rate.assign(0.5)
    outputs = computed(lambda: layer(x, training=True))
    assert 0.2 < (outputs == 0).mean() < 0.8 and np.array_equal(outputs[..., 0], outputs[..., 1])
    layer.rate.assign(1.0)
    np.testing.assert_array_equal(numpy_of(layer(x, training=True)), 0)


def test_variational_outputs_have_the_mean_and_variance_of_the_weights():
    d, units, n = 5, 3, 40_000
    layer = layers.VariationalDense(units, log_variance=-1.0, seed=3)
    layer.build((None, d))
    theta, log_sigma2, x = _draw(d, units) + 1, _draw(d, units, seed=1) - 2, _draw(1, d, seed=2)
    layer.kernel.assign(theta)
    layer.log_sigma2.assign(log_sigma2)
    outputs = computed(lambda: layer(ops.repeat(ops.convert_to_tensor(x), n, axis=0), training=True))
    variance = x**2 @ np.exp(log_sigma2)
    np.testing.assert_allclose(outputs.mean(0), (x @ theta)[0], atol=5 * np.sqrt(variance.max() / n))
    np.testing.assert_allclose(outputs.var(0), variance[0], rtol=5 * np.sqrt(2 / n))


def test_a_variational_convolution_of_one_place_is_the_dense_layer():
    dense, conv = layers.VariationalDense(3, seed=5), layers.VariationalConv2D(3, 1, seed=5)
    x = _draw(4, 5)
    dense.build((None, 5)), conv.build((None, 1, 1, 5))
    for layer in (dense, conv):
        layer.kernel.assign(_draw(5, 3, seed=1).reshape(layer.kernel.shape))
        layer.log_sigma2.assign(_draw(5, 3, seed=2).reshape(layer.kernel.shape))
    for training in (False, True):
        ours, theirs = computed(
            lambda x: (conv(ops.reshape(x, (4, 1, 1, 5)), training=training), dense(x, training=training)),  # noqa: B023
            x,
        )
        np.testing.assert_allclose(ours[:, 0, 0], theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(float(conv.losses[0]), float(dense.losses[0]), rtol=1e-5)


def test_the_divergence_is_the_papers_to_within_its_error_and_is_counted_once():
    # The exact value is an expectation: KL(log α) = ½ log α + E log |1 + √α ε| up to a constant that makes it 0 at ∞.
    nodes = np.linspace(-9, 9, 200_000)  # an even number: none at the logarithm's pole
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    log_alpha = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])
    limit = weights @ np.log(np.abs(nodes))
    exact = [limit, *(weights @ np.log(np.abs(np.exp(-a / 2) + nodes)) for a in log_alpha)]
    layer = layers.VariationalDense(len(log_alpha), kl_weight=0.5)
    layer.build((None, 1))
    layer.kernel.assign(np.ones((1, len(log_alpha))))
    layer.log_sigma2.assign(log_alpha[None])
    from kzoo.layers.variational import divergence

    ours = computed(lambda: divergence(layer.log_alpha))[0]
    np.testing.assert_allclose(ours, np.array(exact[1:]) - exact[0], atol=0.02)
    layer(ops.ones((2, 1)), training=True), layer(ops.ones((2, 1)), training=True)
    assert len(layer.losses) == 1
    np.testing.assert_allclose(float(layer.losses[0]), 0.5 * ours.sum(), rtol=1e-5)
    layer.kl_weight.assign(0.0)
    assert float(layer.losses[0]) == 0.0


def test_inference_leaves_out_the_weights_whose_noise_has_won():
    layer = layers.VariationalDense(2, use_bias=False)
    layer.build((None, 2))
    layer.kernel.assign([[1.0, 1.0], [2.0, 0.1]])
    layer.log_sigma2.assign([[2.9, 3.1], [4.0, -1.0]])  # log α: 2.9, 3.1, 2.6, 3.6
    np.testing.assert_allclose(numpy_of(layer(ops.eye(2), training=False)), [[1, 0], [2, 0]])
    assert float(layer.sparsity()) == 0.5
