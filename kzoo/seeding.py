"""One seed for everything, without importing an engine that is not in use."""

import random

import numpy as np

from kzoo import backend
from kzoo.backend.state import seed_keras


def set_seed(seed):
    """Seeds Python, NumPy, Keras and the engine in use.

    `keras.utils.set_random_seed` does the same but imports TensorFlow under every engine. The engines' generators
    differ: the same seed gives other initial weights on each.

    Args:
        seed: a non-negative integer below 2**32.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1. Received: seed={seed!r}")
    random.seed(seed)
    np.random.seed(seed)
    seed_keras(seed)
    backend.set_seed(seed)


def seed_states(model):
    """The variables that hold the seeds of a model's random layers. Keras does not count them as weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]
