"""Learned positions for images of another size: the table is read as a picture of the grid, and that is resized."""

import math

import numpy as np


def resized(array, shape, grid=None):
    """Positions `(n, d)` as `shape` `(m, d)`: bicubic on the grid of places, what stands before them kept.

    Class tokens come first and have positions of their own. The rest is a square grid row by row: patches of an image,
    or the distances within a window, `(2 w - 1)²` of them.

    Args:
        array: positions of the checkpoint, on a square grid.
        shape: what the model needs.
        grid: rows and columns there; by default a square.

    Raises:
        ValueError: if the numbers of places make no such grids, or the vectors' sizes differ.
    """
    array = np.asarray(array)
    before = len(array) - math.isqrt(len(array)) ** 2 if grid is None else shape[0] - grid[0] * grid[1]
    old = math.isqrt(max(0, len(array) - before))
    new = (math.isqrt(max(0, shape[0] - before)),) * 2 if grid is None else tuple(grid)
    fits = before >= 0 and old**2 + before == len(array) and math.prod(new) + before == shape[0]
    if array.ndim != 2 or tuple(array.shape[1:]) != tuple(shape[1:]) or not fits or not old:
        raise ValueError(
            "positions can be resized from a square grid to another grid, with as many tokens before it and vectors "
            f"of the same size. Received: positions of shape {array.shape}, shape={tuple(shape)}, grid={grid}"
        )
    places = array[before:].reshape(old, old, -1).astype("float64")
    rows, columns = bicubic(old, new[0]), bicubic(old, new[1])
    places = np.einsum("ir,jc,rcd->ijd", rows, columns, places, optimize=True)
    return np.concatenate([array[:before], places.reshape(-1, array.shape[1]).astype(array.dtype)])


def bicubic(old, new):
    """The matrix `(new, old)` of cubic interpolation along one axis, smoothed where it shrinks.

    Keys (1981), Cubic Convolution Interpolation for Digital Image Processing, with a = -1/2; pixels have areas, and
    at the border the weights inside are scaled to sum to 1: what Pillow and PyTorch's `antialias=True` compute.
    """
    scale = old / new
    width = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    first = np.maximum(np.floor(centres - 2 * width + 0.5), 0)[:, None]
    last = np.minimum(np.floor(centres + 2 * width + 0.5), old)[:, None]
    places = np.arange(old)[None]
    x = np.abs((places - centres[:, None] + 0.5) / width)
    weights = np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    weights = np.where((x < 2) & (places >= first) & (places < last), weights, 0.0)
    return weights / weights.sum(1, keepdims=True)
