"""The same update on every engine: the first 20 losses, with the weights and the batches handed in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import parity_of
import pytest
from agents import KINDS

from kzoo import engine

pytestmark = pytest.mark.once


def test_the_first_twenty_losses_of_every_agent_agree(tmp_path):
    curves = {}
    for name in engine.installed():
        path, settings = tmp_path / f"{name}.npz", {"KERAS_BACKEND": name, "XLA_FLAGS": parity_of.XLA}
        command = [sys.executable, "-W", "ignore", Path(__file__).with_name("twenty_losses.py"), path]
        subprocess.run(command, check=True, env=os.environ | settings)
        with np.load(path) as loaded:
            curves[name] = dict(loaded)
    theirs = curves.pop("tensorflow")
    assert len(curves) == 2 and set(theirs) == set(KINDS)
    for ours in curves.values():
        for kind, losses in theirs.items():
            assert losses.shape == (20,) and np.ptp(losses) > 0.01
            np.testing.assert_allclose(ours[kind], losses, atol=1e-4, rtol=1e-4, err_msg=kind)
