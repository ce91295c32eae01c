"""Batch and layer normalisation: mean 0 and variance 1, then a learned scale and shift.

Both compute `n = (x - mean) / sqrt(variance + epsilon)` and `y = gamma n + beta`, and differ in what the mean is taken
over. The gradient through mean and variance is the same short line, with `dn = gamma dy` and means over the same axes:
`dx = (dn - mean(dn) - n mean(dn n)) / sqrt(variance + epsilon)`.
"""

import numpy as np

from kzoo.scratch.layer import Layer, check_axis


class _Normalization(Layer):
    def __init__(self, dim, epsilon):
        super().__init__()
        self.dim, self.epsilon = dim, epsilon
        self.parameters |= {"gamma": np.ones(dim), "beta": np.zeros(dim)}

    def _normalized(self, x, mean, variance, axes):
        scale = 1 / np.sqrt(variance + self.epsilon)
        n = (x - mean) * scale
        self._kept = n, scale, axes
        return self.parameters["gamma"] * n + self.parameters["beta"]

    def backward(self, dy):
        n, scale, axes = self._recall()
        leading = tuple(range(dy.ndim - 1))
        self.gradients |= {"gamma": (dy * n).sum(leading), "beta": dy.sum(leading)}
        dn = self.parameters["gamma"] * dy
        if axes is None:  # mean and variance were given: constants
            return scale * dn
        return scale * (dn - dn.mean(axes, keepdims=True) - n * (dn * n).mean(axes, keepdims=True))


class BatchNormalization(_Normalization):
    """Normalises each feature over the batch and all positions: `(..., dim)` to the same shape.

    Ioffe and Szegedy (2015), arXiv:1502.03167. In training mean and variance are the batch's, and moving averages of
    them are kept; otherwise those are used.

    Args:
        dim: the length of the last axis.
        momentum: how much of the moving averages each batch keeps.
        epsilon: added to the variance.
    """

    def __init__(self, dim, momentum=0.99, epsilon=1e-3):
        super().__init__(dim, epsilon)
        self.momentum = momentum
        self.statistics |= {"moving_mean": np.zeros(dim), "moving_variance": np.ones(dim)}

    def forward(self, x, training=False):
        check_axis(self, x, self.dim)
        if not training:
            return self._normalized(
                x, self.statistics["moving_mean"], self.statistics["moving_variance"], None
            )
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
        for name, value in (("moving_mean", mean), ("moving_variance", variance)):
            kept = self.statistics[name]
            kept *= self.momentum
            kept += (1 - self.momentum) * value
        return self._normalized(x, mean, variance, axes)


class LayerNormalization(_Normalization):
    """Normalises each example's features: `(..., dim)` to the same shape. Ba et al. (2016), arXiv:1607.06450.

    Args:
        dim: the length of the last axis.
        epsilon: added to the variance.
    """

    def __init__(self, dim, epsilon=1e-3):
        super().__init__(dim, epsilon)

    def forward(self, x, training=False):
        check_axis(self, x, self.dim)
        return self._normalized(x, x.mean(-1, keepdims=True), x.var(-1, keepdims=True), -1)
