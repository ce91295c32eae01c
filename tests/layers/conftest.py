"""Initial weights drawn by NumPy in these tests: JAX would compile a generator for every shape, seconds in all."""

import keras
import numpy as np
import pytest
from keras.src.initializers import random_initializers

ORIGINAL = random_initializers.random


class _Random:
    """The draws of `keras.random` that initialisers use, from their seed."""

    @staticmethod
    def _draw(method, shape, a, b, dtype, seed):
        generator = np.random.default_rng(abs(seed) if isinstance(seed, int) else 0)
        return keras.ops.convert_to_tensor(getattr(generator, method)(a, b, shape).astype(dtype))

    def uniform(self, shape, minval=0.0, maxval=1.0, dtype="float32", seed=None):
        return self._draw("uniform", shape, minval, maxval, dtype, seed)

    def normal(self, shape, mean=0.0, stddev=1.0, dtype="float32", seed=None):
        return self._draw("normal", shape, mean, stddev, dtype, seed)

    truncated_normal = normal

    def __getattr__(self, name):
        return getattr(ORIGINAL, name)


@pytest.fixture(autouse=True)
def drawn_by_numpy(monkeypatch):
    monkeypatch.setattr(random_initializers, "random", _Random())
