"""Penalties on weights: a number to add to the loss, and its gradient to add to the weights'."""

import numpy as np

__all__ = ["L1", "L2"]


class L1:
    """`l1 sum(|w|)`, which draws weights to exactly zero: Tibshirani (1996), the lasso."""

    def __init__(self, l1=0.01):
        self.l1 = l1

    def value(self, w):
        return self.l1 * np.sum(np.abs(w))

    def gradient(self, w):
        return self.l1 * np.sign(w)


class L2:
    """`l2 sum(w^2)`, which keeps weights small: Hoerl and Kennard (1970), ridge regression."""

    def __init__(self, l2=0.01):
        self.l2 = l2

    def value(self, w):
        return self.l2 * np.sum(w**2)

    def gradient(self, w):
        return 2 * self.l2 * w
