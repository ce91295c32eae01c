"""Fast ways for Keras layers on JAX: where its compiler makes something slow of what Keras asks for.

Only max pooling so far. Taking the input product of an LSTM once for the whole sequence, which serves PyTorch,
made the training step slower here (128 units, length 64, batch 32, on a CPU).
"""

import functools
import math

import jax
import jax.numpy as jnp
from keras import layers

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


RULES = {layers.MaxPooling1D: max_pooling, layers.MaxPooling2D: max_pooling, layers.MaxPooling3D: max_pooling}


def finish(model):
    """Nothing remains to be done for the model as a whole."""
