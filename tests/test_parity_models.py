"""The parity gate of the models: one small network of each family, one process per engine.

JAX compiles each network for ten seconds and more, and float32 is the second, looser look: there a few families of
different kinds stand for all, and `python tests/parity_of.py models.` compares the rest.
"""

import checks
import numpy as np
import parity_of
import pytest

from kzoo import engine

pytestmark = pytest.mark.once
FEW = "models.mlp,models.cnn,models.resnet18"


def computed(folder, precision):
    return {
        name: parity_of.arrays(
            folder, name, precision, FEW if name == "jax" or precision == "float32" else "models."
        )
        for name in engine.installed()
    }


def apart(arrays, precision, exact=None):
    """By engine: what is further from the first engine's than allowed."""
    first, *others = engine.ENGINES
    theirs = {other: {name: arrays[first][name] for name in arrays[other]} for other in others}
    found = {other: parity_of.apart(arrays[other], theirs[other], precision, exact) for other in others}
    return {other: arrays for other, arrays in found.items() if arrays}


def test_engines_agree_and_gradients_reach_every_weight(tmp_path):
    """One test: spread over workers, each would compute everything.

    In float32 a gradient may differ on one draw of inputs, where a ReLU stands within rounding of zero: what differs is
    computed on a second draw, on which a wrong formula would differ again.
    """
    doubles = computed(tmp_path, "float64")
    gradients = {name: a for name, a in doubles["torch"].items() if "/gradient." in name}
    assert len(gradients) > 500
    assert [name for name, a in gradients.items() if not np.abs(a).max() > 0] == []
    assert not apart(doubles, "float64")

    found = apart(computed(tmp_path, "float32"), "float32", doubles[engine.ENGINES[0]])
    assert not [array for arrays in found.values() for array in arrays if "/forward." in array]
    for other, arrays in found.items():
        cases = sorted({array.partition("/")[0] for array in arrays})
        again = ",".join(f"{case}{checks.AGAIN}" for case in cases)
        first = engine.ENGINES[0]
        exact = parity_of.arrays(tmp_path, first, "float64", again)
        ours, theirs = (parity_of.arrays(tmp_path, name, "float32", again) for name in (other, first))
        assert not parity_of.apart(ours, theirs, "float32", exact), arrays
