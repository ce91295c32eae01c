"""Convolutions channel by channel on JAX's CPU: sums of shifted, scaled maps.

XLA runs a convolution of as many groups as channels on a CPU as a general one, ten to fifty times slower than the
multiplications take. Written as one product for each place of the kernel, all of them fuse into one pass over the
maps. The gradient that JAX would derive is again slow (a padded copy for each place), so it is written out too;
forward-mode differentiation (`jax.jvp`) therefore does not pass through these layers.

Axes of maps: `(batch, height, width, channels)`; of kernels: `(height, width, channels)`. A `Window` holds what the
convolution is given beside them.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from keras import ops

from kzoo.backend.state import replace


class Window(NamedTuple):
    """Strides and dilation of height and width, and the zeros before and after each."""

    strides: tuple
    dilation: tuple
    padding: tuple


def window_of(layer, size):
    """The window of a Keras layer over maps of `size`, padded as XLA pads for it."""
    extents = [(k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate)]
    padding = lax.padtype_to_pads(size, extents, layer.strides, layer.padding.upper())
    return Window(tuple(layer.strides), tuple(layer.dilation_rate), tuple(padding))


# Compiled as one even where the layer is called outside `fit`: as separate operations each is compiled by itself.
compiled = functools.partial(jax.jit, static_argnames="window")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x, kernel, window):
    """Each channel of `x` with its own kernel."""
    return _products(x, kernel, window)


@compiled
def _products(x, kernel, window):
    x = _padded(x, window)
    size = _output_size(x, kernel, window)
    return sum(part * kernel[place] for place, part in _parts(x, kernel, window, size))


def _forward(x, kernel, window):
    return convolve(x, kernel, window), (x, kernel)


def _backward(window, saved, gradient):
    x, kernel = saved
    return _input_gradient(x, kernel, window, gradient), _kernel_gradient(x, kernel, window, gradient)


convolve.defvjp(_forward, _backward)


def _padded(x, window):
    return jnp.pad(x, ((0, 0), *window.padding, (0, 0)))


def _output_size(x, kernel, window):
    sizes = zip(x.shape[1:3], kernel.shape, window.strides, window.dilation)
    return [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in sizes]


def _parts(x, kernel, window, size):
    """For each place of the kernel, what it multiplies: a slice of `x` of the output's size."""
    for place in itertools.product(*map(range, kernel.shape[:2])):
        begin = [i * d for i, d in zip(place, window.dilation)]
        end = [b + (n - 1) * s + 1 for b, n, s in zip(begin, size, window.strides)]
        limits = ((0, *begin, 0), (x.shape[0], *end, x.shape[3]), (1, *window.strides, 1))
        yield place, lax.slice(x, *limits)


@compiled
def _input_gradient(x, kernel, window, gradient):
    """Padded maps' gradients for each remainder of a place by the strides, interleaved.

    Output `y` reads place `y * stride + i * dilation`, so that the places of one remainder are read through the same
    few entries of the kernel.
    """
    strides = window.strides
    whole = [n + before + after for n, (before, after) in zip(x.shape[1:3], window.padding)]
    counts = [-(-n // s) for n, s in zip(whole, strides)]
    reach = [(k - 1) * d // s for k, d, s in zip(kernel.shape, window.dilation, strides)]
    sides = [(r, n - o) for r, n, o in zip(reach, counts, gradient.shape[1:3])]
    gradient = jnp.pad(gradient, ((0, 0), *sides, (0, 0)))
    shape = (x.shape[0], *counts, x.shape[3])
    found = {}
    for place in itertools.product(*map(range, kernel.shape[:2])):
        steps = [divmod(i * d, s) for i, d, s in zip(place, window.dilation, strides)]
        begin = [r - step for r, (step, _) in zip(reach, steps)]
        end = [b + n for b, n in zip(begin, counts)]
        part = lax.slice(gradient, (0, *begin, 0), (shape[0], *end, shape[3])) * kernel[place]
        remainder = tuple(rest for _, rest in steps)
        found[remainder] = found[remainder] + part if remainder in found else part
    if strides == (1, 1):
        out = found[0, 0]
    else:
        none = jnp.zeros(shape, gradient.dtype)
        rows = [jnp.stack([found.get((i, j), none) for j in range(strides[1])], 3) for i in range(strides[0])]
        out = jnp.stack(rows, 2).reshape(shape[0], *(n * s for n, s in zip(counts, strides)), shape[3])
    begin = [before for before, _ in window.padding]
    return out[:, begin[0] : begin[0] + x.shape[1], begin[1] : begin[1] + x.shape[2]]


@compiled
def _kernel_gradient(x, kernel, window, gradient):
    """Summed row by row: XLA's own sums over all but the last axis jump through memory."""
    x = _padded(x, window)
    width = gradient.shape[2]
    extent = (kernel.shape[0] - 1) * window.dilation[0] + 1
    nothing = [jnp.zeros((width, x.shape[3]), x.dtype)] * math.prod(kernel.shape[:2])

    def image(sums, pair):
        maps, slopes = pair

        def row(sums, y):
            band = lax.dynamic_slice_in_dim(maps, y * window.strides[0], extent, 0)[None]
            slope = lax.dynamic_index_in_dim(slopes, y, 0, keepdims=False)
            parts = _parts(band, kernel, window, (1, width))
            return [total + part[0, 0] * slope for total, (_, part) in zip(sums, parts)], None

        return lax.scan(row, sums, jnp.arange(slopes.shape[0]))[0], None

    sums, _ = lax.scan(image, nothing, (x, gradient))
    return jnp.stack([total.sum(0) for total in sums]).reshape(kernel.shape)


def serves(layer):
    """Raises `NotImplementedError` with the reason where XLA's convolution remains."""
    if jax.default_backend() != "cpu":
        raise NotImplementedError(f"it runs on a {jax.default_backend()}, which has kernels for it")
    if layer.data_format != "channels_last":
        raise NotImplementedError("its data is channels_first")
    if layer.depth_multiplier != 1:
        raise NotImplementedError(
            f"it makes several maps of each (depth_multiplier={layer.depth_multiplier})"
        )


def convolved(layer, inputs, kernel):
    """The convolution of the layer, or None where its inputs are not for it."""
    kernel = ops.convert_to_tensor(kernel)
    if not isinstance(inputs, jax.Array) or inputs.dtype != kernel.dtype or inputs.dtype.itemsize < 4:
        return None
    return convolve(inputs, kernel[..., 0], window_of(layer, inputs.shape[1:3]))


def finished(layer, outputs):
    """With bias and activation."""
    outputs = outputs if layer.bias is None else outputs + ops.convert_to_tensor(layer.bias)
    return outputs if layer.activation is None else layer.activation(outputs)


def depthwise(layer):
    """`DepthwiseConv2D`."""
    serves(layer)

    def call(original, inputs):
        outputs = convolved(layer, inputs, layer.kernel)
        return original(inputs) if outputs is None else finished(layer, outputs)

    replace(layer, "call", call)
    return "a sum of shifted maps"


def separable(layer):
    """`SeparableConv2D`: that, and then one by one."""
    serves(layer)

    def call(original, inputs):
        outputs = convolved(layer, inputs, layer.depthwise_kernel)
        if outputs is None:
            return original(inputs)
        return finished(layer, ops.matmul(outputs, layer.pointwise_kernel[0, 0]))

    replace(layer, "call", call)
    return "a sum of shifted maps, then one by one"
