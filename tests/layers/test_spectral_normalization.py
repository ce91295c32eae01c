"""Spectral normalisation: against singular values, equation 12 of its paper, and Keras's layer."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.layers import SpectralNormalization


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def converged(layer, x):
    """The layer after so many calls in training that its vector is the singular one."""
    layer(x, training=True)
    for _ in range(30):
        layer(x, training=True)
    return layer


def test_the_kernel_is_divided_by_its_largest_singular_value_and_stays_as_it_is():
    x, layer = draw(3, 4), SpectralNormalization(keras.layers.Dense(5))
    layer.build(x.shape)
    w = draw(4, 5, seed=1)
    layer.kernel.assign(w)
    converged(layer, x)
    wanted = x @ w / np.linalg.svd(w)[1][0]
    for training in (True, False):
        np.testing.assert_allclose(ops.convert_to_numpy(layer(x, training=training)), wanted, atol=1e-4)
    np.testing.assert_array_equal(layer.kernel.numpy(), w)


def test_the_gradient_is_that_of_equation_12():
    x, c, layer = draw(3, 4), draw(3, 5, seed=2), SpectralNormalization(keras.layers.Dense(5, use_bias=False))
    layer.build(x.shape)
    w = draw(4, 5, seed=1)
    layer.kernel.assign(w)
    converged(layer, x)
    (found,) = kzoo.grad(
        lambda: ops.sum(ops.multiply(layer(x, training=True), c)), layer.trainable_variables
    )()
    left, values, right = np.linalg.svd(w.astype("float64"))
    sigma, outer = values[0], np.outer(left[:, 0], right[0])
    of_quotient = x.astype("float64").T @ c
    wanted = (of_quotient - (of_quotient * w).sum() / sigma * outer) / sigma
    np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, atol=2e-4)


def test_one_step_of_power_iteration_is_that_of_keras():
    x = draw(2, 6, 6, 3)
    ours = SpectralNormalization(keras.layers.Conv2D(4, 3))
    theirs = keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3))
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.layer.kernel.assign(draw(3, 3, 3, 4, seed=1))
    theirs.vector_u.assign(draw(1, 4, seed=2))
    ours.vector.assign(draw(4, seed=2))
    outputs = [ops.convert_to_numpy(layer(x, training=True)) for layer in (ours, theirs)]
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_two_calls_are_differentiated_together():
    x, layer = draw(3, 4), SpectralNormalization(keras.layers.Dense(2))
    layer.build(x.shape)
    gradients = kzoo.grad(
        lambda: ops.sum(layer(x, training=True)) - ops.sum(layer(ops.square(x), training=True)),
        layer.trainable_variables,
    )()
    assert all(np.isfinite(ops.convert_to_numpy(g)).all() for g in gradients)


def test_embeddings_and_transposed_kernels_are_normalised_too():
    tokens = np.array([[0, 2]])
    layer = SpectralNormalization(keras.layers.Embedding(4, 3), weight="embeddings")
    converged(layer, tokens)
    table = layer.kernel.numpy()
    wanted = (table / np.linalg.svd(table)[1][0])[tokens]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(tokens)), wanted, rtol=1e-3, atol=1e-5)
    layer = converged(SpectralNormalization(keras.layers.Conv2DTranspose(3, 2, 2)), draw(1, 3, 3, 2))
    kernel = layer.kernel.numpy()  # (h, w, out, in)
    assert layer.vector.shape == (3,)
    rows = kernel.transpose(0, 1, 3, 2).reshape(-1, 3)
    right = np.linalg.svd(rows)[2][0]
    assert abs(float(layer.vector.numpy() @ right)) == pytest.approx(1, abs=1e-3)


@pytest.mark.once
def test_wrong_arguments_are_told_clearly():
    with pytest.raises(ValueError, match="power_iterations=0"):
        SpectralNormalization(keras.layers.Dense(2), power_iterations=0)
    with pytest.raises(ValueError, match="one's are: none"):
        SpectralNormalization(keras.layers.Dropout(0.1)).build((2, 3))
