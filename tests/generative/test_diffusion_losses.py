"""The first twenty losses of training agree on the three engines, with weights, noise and times handed in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from parity_of import XLA

from kzoo import engine


@pytest.mark.once
def test_the_first_twenty_losses_agree_on_the_three_engines(tmp_path):
    script, losses = Path(__file__).with_name("diffusion_losses.py"), {}
    for name in engine.ENGINES:
        settings = os.environ | {"KERAS_BACKEND": name, "XLA_FLAGS": XLA}
        path = tmp_path / f"{name}.npy"
        subprocess.run([sys.executable, "-W", "ignore", script, path], check=True, env=settings)
        losses[name] = np.load(path)
    first = losses[engine.ENGINES[0]]
    assert first.shape == (20,) and np.ptp(first) > 0.01
    for other in engine.ENGINES[1:]:
        np.testing.assert_allclose(losses[other], first, atol=1e-4)
