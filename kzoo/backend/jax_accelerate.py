"""Fast ways for Keras layers on JAX: where its compiler makes something slow of what Keras asks for.

Max pooling and layer normalization are here, depthwise convolutions in `jax_depthwise.py`. Taking the input product of
an LSTM once for the whole sequence, which serves PyTorch, made the training step slower here (128 units, length 64,
batch 32, on a CPU).
"""

import functools
import math

import jax
import jax.numpy as jnp
from keras import layers, ops

from kzoo.backend.jax_depthwise import depthwise, separable
from kzoo.backend.state import replace


def max_pooling(layer):
    """Windows that tile the input become axes: the gradient is a comparison instead of XLA's select-and-scatter."""
    size = tuple(layer.pool_size)
    if tuple(layer.strides) != size:
        raise NotImplementedError(
            f"its windows overlap or leave gaps (pool_size={size}, strides={layer.strides})"
        )
    if layer.data_format != "channels_last":
        raise NotImplementedError("its data is channels_first")

    def call(original, inputs):
        served = isinstance(inputs, jax.Array) and jnp.issubdtype(inputs.dtype, jnp.floating)
        if not served or any(n % k for n, k in zip(inputs.shape[1:-1], size)):
            return original(inputs)
        return _max_pool(size, inputs)

    replace(layer, "call", call)
    return "its gradient compares instead of scattering"


def _windows(x, size):
    """`(b, h, w, c)` to `(b, h / k, k, w / l, l, c)`, and the axes of the windows."""
    split = [part for n, k in zip(x.shape[1:-1], size) for part in (n // k, k)]
    return x.reshape(x.shape[0], *split, x.shape[-1]), tuple(range(2, 2 * len(size) + 1, 2))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _max_pool(size, x):
    windows, axes = _windows(x, size)
    return windows.max(axes)


@_max_pool.defjvp
def _max_pool_jvp(size, primals, tangents):
    windows, axes = _windows(primals[0], size)
    out = windows.max(axes, keepdims=True)
    # Among equal largest values the first of the window takes the gradient, as in XLA's own pooling.
    places = math.prod(size)
    shape = [1] + [part for k in size for part in (1, k)] + [1]
    order = jnp.where(windows == out, jnp.arange(places, 0, -1, dtype="int32").reshape(shape), 0)
    first = order == order.max(axes, keepdims=True)
    tangent, _ = _windows(tangents[0], size)
    return out.squeeze(axes), jnp.where(first, tangent, 0).sum(axes)


def layer_normalization(layer):
    """A gradient in closed form.

    The one that JAX derives from Keras's `x * inv - mean * inv` is a long sum without a matrix product in it. In a
    network of residual branches XLA fuses each block's with those of all blocks above it and computes them again, so
    that twelve blocks of a transformer cost half as much again as they should.
    """
    if layer.rms_scaling:
        raise NotImplementedError("it scales by the variance (rms_scaling)")
    if list(layer.axis) != [-1]:
        raise NotImplementedError(f"it normalizes axes {layer.axis}")

    def call(original, inputs):
        if not (isinstance(inputs, jax.Array) and jnp.issubdtype(inputs.dtype, jnp.floating)):
            return original(inputs)
        dtype = jnp.promote_types(inputs.dtype, "float32")
        outputs = _normalized(layer.epsilon, inputs.astype(dtype))
        if layer.gamma is not None:
            outputs = outputs * ops.convert_to_tensor(layer.gamma, dtype)
        if layer.beta is not None:
            outputs = outputs + ops.convert_to_tensor(layer.beta, dtype)
        return outputs.astype(layer.compute_dtype)

    replace(layer, "call", call)
    return "its gradient in closed form"


@functools.partial(jax.jit, static_argnums=0)
def _deviations(epsilon, x):
    """`x` less its mean, and one over its standard deviation, over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred, jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normalized(epsilon, x):
    centred, inverse = _deviations(epsilon, x)
    return centred * inverse


@_normalized.defjvp
def _normalized_jvp(epsilon, primals, tangents):
    centred, inverse = _deviations(epsilon, primals[0])
    out, change = centred * inverse, tangents[0] * inverse
    return out, change - change.mean(-1, keepdims=True) - out * (out * change).mean(-1, keepdims=True)


RULES = {
    layers.MaxPooling1D: max_pooling,
    layers.MaxPooling2D: max_pooling,
    layers.MaxPooling3D: max_pooling,
    layers.LayerNormalization: layer_normalization,
    layers.DepthwiseConv2D: depthwise,
    layers.SeparableConv2D: separable,
}


def finish(model):
    """Nothing remains to be done for the model as a whole."""
