"""Initial weights drawn by NumPy in these tests: JAX would compile a generator for every shape, seconds in all.

And float64 for those that ask for it.
"""

import contextlib

import keras
import numpy as np
import pytest
from keras.src.backend.common import dtypes
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


@pytest.fixture
def doubles(monkeypatch):
    """Everything in float64, products too, which Keras makes in float32 on PyTorch and JAX."""
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    scope = contextlib.nullcontext()
    if keras.config.backend() == "jax":
        import jax

        scope = jax.enable_x64(True)
    with scope:
        yield
