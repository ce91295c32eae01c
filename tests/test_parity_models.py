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


def test_engines_agree_and_gradients_reach_every_weight(tmp_path):
    """One test: spread over workers, each would compute everything."""
    first, *others = engine.ENGINES
    failed, exact = {}, None
    for precision in parity_of.TOLERANCES:
        chosen = {name: ON_JAX if name == "jax" else "models." for name in engine.installed()}
        arrays = {name: parity_of.arrays(tmp_path, name, precision, only) for name, only in chosen.items()}
        for other in others:
            theirs = {name: arrays[first][name] for name in arrays[other]}
            failed[other, precision] = parity_of.apart(arrays[other], theirs, precision, exact)
        exact = exact or arrays[first]
        gradients = {name: a for name, a in arrays["torch"].items() if "/gradient." in name}
        assert len(gradients) > 500
        assert [name for name, a in gradients.items() if not np.abs(a).max() > 0] == []
    assert not any(failed.values()), failed
