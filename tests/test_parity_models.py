"""The parity gate of the models: one small network of each family, one process per engine.

JAX compiles each network for ten seconds and more: there a few families of different kinds stand for all, and
`python tests/parity_of.py models.` compares the rest.
"""

import numpy as np
import parity_of
import pytest

from kzoo import engine

pytestmark = pytest.mark.once
ON_JAX = "models.mlp,models.cnn,models.resnet18"


def computed(folder, precision):
    return {
        name: parity_of.arrays(folder, name, precision, ON_JAX if name == "jax" else "models.")
        for name in engine.installed()
    }


def apart(arrays, precision, exact=None):
    first, *others = engine.ENGINES
    theirs = {other: {name: arrays[first][name] for name in arrays[other]} for other in others}
    return {
        other: found
        for other in others
        if (found := parity_of.apart(arrays[other], theirs[other], precision, exact))
    }


def test_engines_agree_in_float64_and_gradients_reach_every_weight(tmp_path):
    """One test: spread over workers, each would compute everything."""
    arrays = computed(tmp_path, "float64")
    gradients = {name: a for name, a in arrays["torch"].items() if "/gradient." in name}
    assert len(gradients) > 500
    assert [name for name, a in gradients.items() if not np.abs(a).max() > 0] == []
    assert not apart(arrays, "float64")


def test_engines_agree_in_float32(tmp_path):
    """Forward passes always. A gradient may differ on one of two draws of inputs, where a ReLU stands within rounding
    of zero: a wrong formula would differ on both."""
    exact = parity_of.arrays(tmp_path, engine.ENGINES[0], "float64", "models.")
    for name, found in apart(computed(tmp_path, "float32"), "float32", exact).items():
        cases = {array.partition("/")[0] for array in found}
        twice = {case for case in cases if f"{case}@2" in cases}
        wrong = {
            array: by
            for array, by in found.items()
            if "/forward." in array or array.partition("/")[0].removesuffix("@2") in twice
        }
        assert not wrong, name
