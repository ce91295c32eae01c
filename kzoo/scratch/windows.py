"""Windows over images: what convolution and pooling share.

`slide` shows all windows of a batch of images as one view, without copying or visiting a pixel; `unslide` is its
transpose and adds windows back onto the images.
"""

import math

import numpy as np


def pair(name, value):
    """A size for both axes, from one number or two."""
    both = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(both) != 2 or min(both) < 1:
        raise ValueError(f"{name} must be one or two numbers of at least 1. Received: {name}={value}")
    return both


def check_padding(padding):
    """Raises a `ValueError` unless the padding is one that exists."""
    if padding not in ("valid", "same"):
        raise ValueError(f"padding must be 'valid' or 'same'. Received: padding={padding!r}")


def borders(length, size, stride, padding):
    """How many positions to add before and after an axis.

    "same" adds what makes the output `ceil(length / stride)` long, the odd one after, as in TensorFlow and Keras.
    """
    if padding == "valid":
        return 0, 0
    total = max((math.ceil(length / stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def slide(x, size, strides, padding, fill=0.0):
    """All windows of images, and the borders that were added.

    Args:
        x: images, `(b, h, w, c)`.
        size, strides: of the window, both axes.
        padding: `"valid"` or `"same"`.
        fill: what the border holds.

    Returns:
        A view `(b, rows, columns, c, *size)`, and the borders of both axes.
    """
    if x.ndim != 4:
        raise ValueError(f"images have the shape (b, h, w, c). Received: x of shape {x.shape}")
    around = [borders(n, k, s, padding) for n, k, s in zip(x.shape[1:3], size, strides)]
    if any(n + sum(border) < k for n, border, k in zip(x.shape[1:3], around, size)):
        raise ValueError(f"the window {size} is larger than the images. Received: x of shape {x.shape}")
    if np.any(around):
        x = np.pad(x, ((0, 0), *around, (0, 0)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1]], around


def unslide(dwindows, shape, size, strides, around):
    """Adds gradients of windows, `(b, rows, columns, *size, c)`, onto images of a shape.

    One addition per position in the window, each over all windows at once.
    """
    (top, bottom), (left, right) = around
    b, h, w, c = shape
    rows, columns = dwindows.shape[1:3]
    dx = np.zeros((b, h + top + bottom, w + left + right, c), dwindows.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            place = dx[:, i : i + rows * strides[0] : strides[0], j : j + columns * strides[1] : strides[1]]
            place += dwindows[:, :, :, i, j]
    return dx[:, top : top + h, left : left + w]
