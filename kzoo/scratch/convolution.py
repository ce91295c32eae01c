"""A two-dimensional convolution as one matrix product over all windows (im2col)."""

import math

import numpy as np

from kzoo.scratch import initializers
from kzoo.scratch.layer import Layer, check_axis
from kzoo.scratch.windows import check_padding, pair, slide, unslide


class Conv2D(Layer):
    """Slides filters over images: `(b, h, w, input_dim)` to `(b, rows, columns, filters)`.

    The windows laid out as rows of a matrix `X`, and the kernel as a matrix `W`: `Y = X W + b`. So `dW = X^T dY`, and
    `dX = dY W^T` is added back onto the images. As in every framework the kernel is not flipped. LeCun et al. (1989),
    Backpropagation applied to handwritten zip code recognition; im2col: Chellapilla et al. (2006).

    Args:
        input_dim: channels of the images.
        filters: channels of the output.
        kernel_size, strides: one number, or two for rows and columns.
        padding: `"valid"` or `"same"`.
        use_bias: whether a bias is added to each filter's output.
        kernel_initializer: draws the kernel, `(*kernel_size, input_dim, filters)`.
        seed: a seed or a NumPy generator.
    """

    def __init__(
        self,
        input_dim,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        use_bias=True,
        kernel_initializer=initializers.glorot_uniform,
        seed=None,
    ):
        super().__init__()
        check_padding(padding)
        self.input_dim, self.filters, self.padding, self.use_bias = input_dim, filters, padding, use_bias
        self.kernel_size, self.strides = pair("kernel_size", kernel_size), pair("strides", strides)
        shape = (*self.kernel_size, input_dim, filters)
        self.parameters["kernel"] = kernel_initializer(shape, np.random.default_rng(seed))
        if use_bias:
            self.parameters["bias"] = np.zeros(filters)

    def forward(self, x, training=False):
        check_axis(self, x, self.input_dim)
        windows, around = slide(x, self.kernel_size, self.strides, self.padding)
        # (b, rows, columns, c, i, j) -> (b rows columns, i j c), the order of the kernel
        matrix = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, math.prod(self.kernel_size) * self.input_dim)
        self._kept = matrix, x.shape, around
        y = matrix @ self.parameters["kernel"].reshape(-1, self.filters)
        if self.use_bias:
            y += self.parameters["bias"]
        return y.reshape(*windows.shape[:3], self.filters)

    def backward(self, dy):
        matrix, shape, around = self._recall()
        kernel, drows = self.parameters["kernel"], dy.reshape(-1, self.filters)
        self.gradients["kernel"] = (matrix.T @ drows).reshape(kernel.shape)
        if self.use_bias:
            self.gradients["bias"] = drows.sum(0)
        dwindows = drows @ kernel.reshape(-1, self.filters).T
        dwindows = dwindows.reshape(*dy.shape[:3], *self.kernel_size, self.input_dim)
        return unslide(dwindows, shape, self.kernel_size, self.strides, around)
