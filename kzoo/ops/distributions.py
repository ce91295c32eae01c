"""Distributions that policies draw actions from: categorical, and Gaussian with independent dimensions.

Draws are handed in as random numbers of the caller's, so that every engine takes the same actions and a generator's
state is all that must be kept to go on with them.
"""

import math

import numpy as np
from keras import ops

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Categorical:
    """One of k: `logits` `(…, k)`, actions int32 `(…)`."""

    def __init__(self, logits):
        self.logits = logits
        self.log_probabilities = ops.log_softmax(logits, axis=-1)

    @staticmethod
    def draws(rng, n, dim):
        """Gumbel-distributed numbers `(n, dim)` of a NumPy generator, for `sample`."""
        return rng.gumbel(size=(n, dim)).astype("float32")

    def sample(self, draws):
        """The largest of `logits + draws`, which is distributed as the softmax (Gumbel 1954)."""
        return ops.cast(ops.argmax(self.logits + ops.cast(draws, self.logits.dtype), axis=-1), "int32")

    def mode(self):
        return ops.cast(ops.argmax(self.logits, axis=-1), "int32")

    def log_prob(self, actions):
        """`(…)`: `log softmax(logits)[action]`."""
        chosen = ops.one_hot(actions, self.logits.shape[-1], dtype=self.logits.dtype)
        return ops.sum(self.log_probabilities * chosen, axis=-1)

    def entropy(self):
        """`(…)`: `-Σ p log p`."""
        return -ops.sum(ops.exp(self.log_probabilities) * self.log_probabilities, axis=-1)


class DiagonalGaussian:
    """Independent normal numbers: `mean` and `log_std` `(…, d)`, actions `(…, d)`.

    Actions are not squashed: an environment with bounds clips them, and the density is that of the action before.
    """

    def __init__(self, mean, log_std):
        self.mean, self.log_std = mean, log_std

    @staticmethod
    def draws(rng, n, dim):
        """Normally distributed numbers `(n, dim)` of a NumPy generator, for `sample`."""
        return rng.standard_normal((n, dim), dtype=np.float32)

    def sample(self, draws):
        return self.mean + ops.exp(self.log_std) * ops.cast(draws, self.mean.dtype)

    def mode(self):
        return self.mean

    def log_prob(self, actions):
        """`(…)`: `Σ -½ ((a - μ)/σ)² - log σ - ½ log 2π`."""
        distance = (ops.cast(actions, self.mean.dtype) - self.mean) * ops.exp(-self.log_std)
        return ops.sum(-0.5 * ops.square(distance) - self.log_std - HALF_LOG_TWO_PI, axis=-1)

    def entropy(self):
        """`(…)`: `Σ log σ + ½ log 2πe`."""
        return ops.sum(self.log_std + 0.5 + HALF_LOG_TWO_PI, axis=-1)


def distribution_of(outputs):
    """The distribution that a policy's outputs describe.

    Args:
        outputs: a dictionary with `logits`, or with `mean` and `log_std`.
    """
    if "logits" in outputs:
        return Categorical(outputs["logits"])
    if {"mean", "log_std"} <= set(outputs):
        return DiagonalGaussian(outputs["mean"], outputs["log_std"])
    raise ValueError(
        f"a policy's outputs must have logits, or mean and log_std. Received: {', '.join(sorted(outputs))}"
    )
