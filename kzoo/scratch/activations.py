"""Activations and their derivatives, one pair of functions each, and the layer that applies them.

A derivative takes the input `x`, element by element. Softmax alone mixes the elements of a row; its backward pass
multiplies by the Jacobian without forming it.
"""

import math

import numpy as np

from kzoo.scratch.layer import Layer

__all__ = [
    "DERIVATIVES", "Activation", "elu", "gelu", "gelu_tanh", "leaky_relu", "linear", "relu", "sigmoid", "softmax",
    "swish", "tanh",
]  # fmt: skip

_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none


def linear(x):
    """The input itself."""
    return x


def sigmoid(x):
    """`1 / (1 + exp(-x))`, in a form that does not overflow and keeps the digits of small values."""
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z)


def tanh(x):
    """The hyperbolic tangent."""
    return np.tanh(x)


def relu(x):
    """`max(x, 0)`: Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines."""
    return np.maximum(x, 0)


def leaky_relu(x, negative_slope=0.2):
    """`x`, and below zero `negative_slope x`: Maas et al. (2013), Rectifier nonlinearities."""
    return np.where(x > 0, x, negative_slope * x)


def elu(x, alpha=1.0):
    """`x`, and below zero `alpha (exp(x) - 1)`: Clevert et al. (2015), arXiv:1511.07289."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x):
    """`x Phi(x)` with the normal distribution function `Phi`: Hendrycks and Gimpel (2016), arXiv:1606.08415."""
    return x * _normal_cdf(x)


def gelu_tanh(x):
    """GELU with `Phi` approximated by a hyperbolic tangent, as GPT-2 and BERT compute it: arXiv:1606.08415."""
    return 0.5 * x * (1.0 + np.tanh(_inner(x)))


def swish(x):
    """`x sigmoid(x)`, also SiLU: Ramachandran et al. (2017), arXiv:1710.05941."""
    return x * sigmoid(x)


def softmax(x, axis=-1):
    """`exp(x) / sum(exp(x))` along an axis, after the largest is subtracted, which changes nothing but overflow."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _sigmoid_derivative(x):
    y = sigmoid(x)
    return y * (1 - y)


def _gelu_derivative(x):
    return _normal_cdf(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _gelu_tanh_derivative(x):
    t = np.tanh(_inner(x))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope


def _swish_derivative(x):
    y = sigmoid(x)
    return y * (1 + x * (1 - y))


def _normal_cdf(x):
    return 0.5 * np.asarray(_erfc(-x / math.sqrt(2)), dtype=np.asarray(x).dtype)


def _inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


DERIVATIVES = {
    linear: np.ones_like,
    sigmoid: _sigmoid_derivative,
    tanh: lambda x: 1 - np.tanh(x) ** 2,
    relu: lambda x: (x > 0).astype(x.dtype),
    leaky_relu: lambda x, negative_slope=0.2: np.where(x > 0, 1.0, negative_slope).astype(x.dtype),
    elu: lambda x, alpha=1.0: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))).astype(x.dtype),
    gelu: _gelu_derivative,
    gelu_tanh: _gelu_tanh_derivative,
    swish: _swish_derivative,
}


class Activation(Layer):
    """Applies an activation.

    Args:
        function: one of this module's functions.
        **arguments: what it takes besides the input: `negative_slope`, `alpha`.
    """

    def __init__(self, function, **arguments):
        super().__init__()
        if function not in DERIVATIVES and function is not softmax:
            raise ValueError(
                f"the function must be an activation of kzoo.scratch. Received: function={function!r}"
            )
        self.function, self.arguments = function, arguments

    def forward(self, x, training=False):
        y = self.function(x, **self.arguments)
        self._kept = x, y
        return y

    def backward(self, dy):
        x, y = self._recall()
        if self.function is softmax:
            return softmax_backward(y, dy, **self.arguments)
        return dy * DERIVATIVES[self.function](x, **self.arguments)


def softmax_backward(y, dy, axis=-1):
    """The gradient to softmax's input, from its output: `dx = y (dy - sum(y dy))`."""
    return y * (dy - (y * dy).sum(axis, keepdims=True))
