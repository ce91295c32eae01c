"""Weight normalisation and standardisation against NumPy, PyTorch and the papers' invariances."""

import keras
import numpy as np
import pytest
from computing import computed
from keras import ops

import kzoo
from kzoo import layers
from kzoo.layers.kernels import output_axes

WRAPPERS = {"normalization": layers.WeightNormalization, "standardization": layers.WeightStandardization}


def numpy_of(x):
    return ops.convert_to_numpy(x)


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _kernel(wrapper, inner, shape):
    """The wrapped layer, built with drawn weights, and the kernel it is run with."""
    layer = WRAPPERS[wrapper](inner)
    layer.build(shape)
    layer.kernel.assign(_draw(*layer.kernel.shape))
    if wrapper == "normalization":
        layer.gain.assign(_draw(*layer.gain.shape, seed=1))
    return layer, numpy_of(
        layer.normalized_kernel if wrapper == "normalization" else layer.standardized_kernel
    )


INNER = {  # kind: layer, input shape, axes that number its outputs
    "dense": (lambda: keras.layers.Dense(3), (2, 4), (1,)),
    "convolution": (lambda: keras.layers.Conv2D(3, 2), (2, 5, 5, 4), (3,)),
    "depthwise": (lambda: keras.layers.DepthwiseConv2D(2, depth_multiplier=2), (2, 5, 5, 4), (2, 3)),
    "transposed": (lambda: keras.layers.Conv1DTranspose(3, 2), (2, 5, 4), (1,)),
}


@pytest.mark.parametrize("kind", INNER)
def test_kernels_are_the_papers_formulas_over_the_weights_of_each_output(kind):
    make, shape, kept = INNER[kind]
    layer, ours = _kernel("normalization", make(), shape)
    v = numpy_of(layer.kernel.value)
    others = tuple(axis for axis in range(v.ndim) if axis not in kept)
    assert output_axes(layer.layer, v.ndim) == kept
    gain = numpy_of(layer.gain.value)
    np.testing.assert_allclose(ours, gain * v / np.sqrt((v**2).sum(others, keepdims=True)), rtol=1e-5)
    layer, ours = _kernel("standardization", make(), shape)
    w = numpy_of(layer.kernel.value)
    theirs = (w - w.mean(others, keepdims=True)) / np.sqrt(w.var(others, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    # What the wrapper computes is what the plain layer computes with that kernel.
    plain, x = make(), ops.convert_to_tensor(_draw(*shape, seed=2))
    plain.build(shape)
    plain.kernel.assign(ours)
    np.testing.assert_allclose(computed(layer, x), computed(plain, x), rtol=1e-4, atol=1e-5)


def test_wrapping_in_weight_normalization_changes_nothing_at_first():
    x = ops.convert_to_tensor(_draw(2, 5, 4))
    for inner in (keras.layers.Conv1D(3, 2), keras.layers.GRU(3)):
        layer = layers.WeightNormalization(inner)
        layer.build(x.shape)
        np.testing.assert_allclose(*computed(lambda x: (layer(x), inner(x)), x), atol=1e-6)  # noqa: B023


def test_the_gradient_of_a_direction_is_orthogonal_to_it_and_of_a_standardised_kernel_to_scale_and_shift():
    x = ops.convert_to_tensor(_draw(8, 4))
    layer, _ = _kernel("normalization", keras.layers.Dense(3), (8, 4))
    gradient = computed(kzoo.grad(lambda: ops.sum(ops.square(layer(x))), [layer.kernel]))[0]
    products = (gradient * numpy_of(layer.kernel.value)).sum(0)
    np.testing.assert_allclose(products, 0, atol=1e-4)
    assert np.abs(gradient).max() > 0.1
    layer, _ = _kernel("standardization", keras.layers.Dense(3), (8, 4))
    gradient = computed(kzoo.grad(lambda: ops.sum(ops.square(layer(x))), [layer.kernel]))[0]
    np.testing.assert_allclose(gradient.sum(0), 0, atol=1e-4)
    np.testing.assert_allclose((gradient * numpy_of(layer.kernel.value)).sum(0), 0, atol=5e-3)  # ε
    assert np.abs(gradient).max() > 0.1


def test_initialize_gives_outputs_of_mean_zero_and_the_wanted_deviation_before_the_activation():
    x = _draw(64, 6, 6, 3) * 3 + 2
    layer = layers.WeightNormalization(keras.layers.Conv2D(5, 3, activation="relu", bias_initializer="ones"))
    layer.initialize(x, scale=0.5)
    outputs = numpy_of(layer(ops.convert_to_tensor(x)))
    assert outputs.min() == 0  # the activation is back
    layer.layer.activation = keras.activations.linear
    outputs = numpy_of(layer(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std((0, 1, 2)), 0.5, rtol=1e-4)
    with pytest.raises(ValueError, match="bias"):
        layers.WeightNormalization(keras.layers.Dense(2, use_bias=False)).initialize(
            np.ones((4, 3), "float32")
        )


@pytest.mark.skipif(keras.config.backend() != "torch", reason="compares with PyTorch's own, on PyTorch")
def test_weight_normalization_equals_that_of_pytorch_with_its_gradients():
    import torch

    layer, _ = _kernel("normalization", keras.layers.Dense(3), (8, 4))
    theirs = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 3), dim=0)
    x = _draw(8, 4, seed=5)
    with torch.no_grad():
        theirs.bias.zero_()
        theirs.parametrizations.weight.original0.copy_(torch.tensor(numpy_of(layer.gain.value).T))
        theirs.parametrizations.weight.original1.copy_(torch.tensor(numpy_of(layer.kernel.value).T))
    loss = theirs(torch.tensor(x)).square().sum()
    loss.backward()
    value, gradients = kzoo.value_and_grad(
        lambda: ops.sum(ops.square(layer(ops.convert_to_tensor(x)))), [layer.kernel, layer.gain]
    )()
    np.testing.assert_allclose(float(value), loss.item(), rtol=1e-5)
    for ours, name in zip(gradients, ("original1", "original0")):
        their = getattr(theirs.parametrizations.weight, name).grad.numpy().T
        np.testing.assert_allclose(numpy_of(ours), their, rtol=1e-4, atol=1e-5)


def test_wrappers_work_inside_fit_and_leave_frozen_layers_alone():
    model = keras.Sequential([keras.Input((4,)), layers.WeightNormalization(keras.layers.Dense(3))])
    wrapper = model.layers[0]
    wrapper.layer.trainable = False
    kernel, gain = numpy_of(wrapper.kernel.value).copy(), numpy_of(wrapper.gain.value).copy()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(_draw(8, 4), _draw(8, 3), epochs=2, batch_size=8, verbose=0)
    np.testing.assert_array_equal(numpy_of(wrapper.kernel.value), kernel)
    assert not np.array_equal(numpy_of(wrapper.gain.value), gain)
