"""Other libraries' weights give other libraries' numbers, through their own file formats, on every engine.

`oracle.py` makes their random networks in one process, `equal.py` compares in one process per engine:
`python tests/vision/equal.py --both FAMILY` compares all of a family's on the engine in use. The suite compares one
network of each family and source on PyTorch at two image sizes, and one of each family at one size on JAX and, for
every second family, on TensorFlow, to which `test_parity_models.py` ties PyTorch for each family; with
`KZOO_ALL_NETWORKS=1` (`make oracles`) every network on every engine at two.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import oracle
import parity_of
import pytest

from kzoo import engine
from kzoo.models import catalog
from kzoo.weights.load import sources_of

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not oracle.ORACLES.is_dir(), reason="torchvision and timm are put there by `make env`"
    ),
]
TOLERANCE = 1e-4


def run(script, backend, *arguments):
    path = str(Path(__file__).with_name(script))
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONWARNINGS": "ignore",
        "XLA_FLAGS": parity_of.XLA,
    }
    done = subprocess.run(
        [sys.executable, path, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]


EVERYTHING = os.environ.get("KZOO_ALL_NETWORKS") == "1"
SUITE = {"tensorflow": "--second", "torch": "--sources", "jax": "--families"}
PARTS = {name: [part] * (not EVERYTHING) for name, part in SUITE.items()}
SIZES = {"tensorflow": 1, "torch": 2, "jax": 1}


def test_logits_and_features_are_theirs(tmp_path):
    """In one test: one worker makes the oracles once."""
    run("oracle.py", "torch", tmp_path, *PARTS["torch"])
    wrong = {}
    for name in engine.installed():
        out = tmp_path / f"{name}.json"
        run("equal.py", name, tmp_path, out, 2 if EVERYTHING else SIZES[name], *PARTS[name])
        found = json.loads(out.read_text())
        assert list(found) == [case.key for case in oracle.chosen(*PARTS[name])]
        for case, distances in found.items():
            assert len(distances) >= 2, case
            if not max(distances.values()) <= TOLERANCE:
                wrong[name, case] = distances
    assert not wrong


def test_every_family_with_a_peer_is_compared():
    compared = {(catalog.family_of(case.model), case.source) for case in oracle.cases()}
    declared = {
        (family, source)
        for family in catalog.FAMILIES
        if catalog.kind_of(family) == "vision"
        for source in sources_of(family)
    }
    assert declared <= compared, sorted(declared - compared)
