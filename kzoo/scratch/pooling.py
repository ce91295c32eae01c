"""Maximum and average pooling: one number for each window and channel."""

import math

import numpy as np

from kzoo.scratch.layer import Layer
from kzoo.scratch.windows import check_padding, pair, slide, unslide


class _Pooling(Layer):
    def __init__(self, pool_size=2, strides=None, padding="valid"):
        super().__init__()
        check_padding(padding)
        self.pool_size, self.padding = pair("pool_size", pool_size), padding
        self.strides = self.pool_size if strides is None else pair("strides", strides)


class MaxPooling2D(_Pooling):
    """Keeps the largest of each window: `(b, h, w, c)` to `(b, rows, columns, c)`.

    Backward, each window's gradient goes to the place of its largest, of several the first.

    Args:
        pool_size: of the window: one number, or two for rows and columns.
        strides: how far windows are apart; by default they stand side by side.
        padding: `"valid"` or `"same"`, whose border is never the largest.
    """

    def forward(self, x, training=False):
        windows, around = slide(x, self.pool_size, self.strides, self.padding, fill=-np.inf)
        flat = windows.reshape(*windows.shape[:4], -1)
        largest = flat.argmax(-1)[..., None]
        self._kept = largest, x.shape, around
        return np.take_along_axis(flat, largest, -1)[..., 0]

    def backward(self, dy):
        largest, shape, around = self._recall()
        dwindows = np.zeros((*dy.shape, math.prod(self.pool_size)), dy.dtype)
        np.put_along_axis(dwindows, largest, dy[..., None], -1)
        dwindows = np.moveaxis(dwindows, -1, 3).reshape(*dy.shape[:3], *self.pool_size, dy.shape[3])
        return unslide(dwindows, shape, self.pool_size, self.strides, around)


class AveragePooling2D(_Pooling):
    """Gives the mean of each window: `(b, h, w, c)` to `(b, rows, columns, c)`.

    With `"same"` padding the border is not counted, as in Keras.

    Args:
        pool_size: of the window: one number, or two for rows and columns.
        strides: how far windows are apart; by default they stand side by side.
        padding: `"valid"` or `"same"`.
    """

    def forward(self, x, training=False):
        windows, around = slide(x, self.pool_size, self.strides, self.padding)
        inside, _ = slide(np.ones((1, *x.shape[1:3], 1), x.dtype), self.pool_size, self.strides, self.padding)
        counts = inside.sum((-2, -1))
        self._kept = counts, x.shape, around
        return windows.sum((-2, -1)) / counts

    def backward(self, dy):
        counts, shape, around = self._recall()
        share = (dy / counts)[:, :, :, None, None]
        dwindows = np.broadcast_to(share, (*dy.shape[:3], *self.pool_size, dy.shape[3]))
        return unslide(dwindows, shape, self.pool_size, self.strides, around)
