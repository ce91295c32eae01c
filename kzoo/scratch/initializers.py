"""Initialisers: functions of a shape and a random generator that draw a weight's first values.

Each of the scaled ones keeps a variance constant through the layers: LeCun's that of the activations (LeCun et al.,
1998, Efficient BackProp), He's the same where ReLU takes half away (arXiv:1502.01852), and Glorot's, Xavier by first
name, the mean of what activations and gradients want (Glorot and Bengio, 2010).
"""

import math

import numpy as np

__all__ = [
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "normal",
    "orthogonal", "zeros",
]  # fmt: skip

# The standard deviation of a normal distribution cut at two of its standard deviations.
_CUT = 0.87962566103423978


def fans(shape):
    """How many inputs and outputs each unit of a kernel has, a convolution's window included."""
    if len(shape) < 2:
        raise ValueError(f"a kernel has at least two axes. Received: shape={shape}")
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def zeros(shape, generator=None):
    """Zeros."""
    return np.zeros(shape)


def normal(shape, generator, stddev=0.05):
    """Normal with a standard deviation that does not depend on the shape."""
    return stddev * generator.normal(size=shape)


def glorot_uniform(shape, generator):
    """Uniform with variance `2 / (inputs + outputs)`."""
    return _uniform(shape, generator, 2 / sum(fans(shape)))


def glorot_normal(shape, generator):
    """Normal, cut at two standard deviations, with variance `2 / (inputs + outputs)`."""
    return _cut_normal(shape, generator, 2 / sum(fans(shape)))


def he_uniform(shape, generator):
    """Uniform with variance `2 / inputs`."""
    return _uniform(shape, generator, 2 / fans(shape)[0])


def he_normal(shape, generator):
    """Normal, cut at two standard deviations, with variance `2 / inputs`."""
    return _cut_normal(shape, generator, 2 / fans(shape)[0])


def lecun_uniform(shape, generator):
    """Uniform with variance `1 / inputs`."""
    return _uniform(shape, generator, 1 / fans(shape)[0])


def lecun_normal(shape, generator):
    """Normal, cut at two standard deviations, with variance `1 / inputs`."""
    return _cut_normal(shape, generator, 1 / fans(shape)[0])


def orthogonal(shape, generator, gain=1.0):
    """A random matrix whose columns, or rows if they are fewer, are orthonormal: Saxe et al., arXiv:1312.6120."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # without it, QR's convention would make some rotations likelier than others
    return gain * (q if rows >= columns else q.T).reshape(shape)


def _uniform(shape, generator, variance):
    limit = math.sqrt(3 * variance)
    return generator.uniform(-limit, limit, size=shape)


def _cut_normal(shape, generator, variance):
    drawn = generator.normal(size=shape)
    while (far := np.abs(drawn) > 2).any():
        drawn[far] = generator.normal(size=int(far.sum()))
    return math.sqrt(variance) / _CUT * drawn
