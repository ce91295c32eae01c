"""What the three engines share: the values behind Keras variables, seen without autocasting."""

import contextlib
import functools
import resource
import sys

import keras
from keras.src.backend import compute_output_spec
from keras.src.backend.common import global_state
from keras.src.backend.common.stateless_scope import get_stateless_scope
from keras.src.backend.common.variables import AutocastScope
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils import module_utils
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

__all__ = [
    "compute_output_spec",
    "current_scope",
    "peak_resident_memory",
    "replace",
    "seed_keras",
    "tensorflow_left_out",
    "unallocated",
    "values_of",
]


def seed_keras(seed):
    """Seeds the generator that Keras draws unseeded layers' and initialisers' seeds from."""
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)


def current_scope():
    """The `keras.StatelessScope` in force, or `None`."""
    return get_stateless_scope()


def values_of(variables):
    """The tensors that hold the variables' values here and now, in their own dtypes."""
    with AutocastScope(None):
        return [variable.value for variable in variables]


@contextlib.contextmanager
def unallocated():
    """While it is open, variables of new layers have shapes and no values: a large network's sizes for no memory."""
    waiting = list(global_state.get_global_attribute("uninitialized_variables") or [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:  # Keras would give them values when the next scope closes
        global_state.set_global_attribute("uninitialized_variables", waiting)


def peak_resident_memory():
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def tensorflow_left_out():
    """While it is open, Keras on another engine does not look for TensorFlow.

    Serialising a model asks of every value whether it is one of TensorFlow's, and imports it in order to ask:
    seconds and half a gigabyte in a process that runs on another engine.
    """
    library = module_utils.tensorflow
    before = library._available
    if keras.config.backend() != "tensorflow" and library.module is None:
        library._available = False
    try:
        yield
    finally:
        library._available = before


def replace(layer, name, fast):
    """Puts `fast(original, *args, **kwargs)` in the place of a method, on this one layer only."""
    if name in vars(layer):
        return

    original = getattr(layer, name)

    @functools.wraps(original)
    def method(*args, **kwargs):
        return fast(original, *args, **kwargs)

    object.__setattr__(layer, name, method)
