"""The same forward, gradient and steps on every engine: the cases of `checks.py`, one process per engine."""

from pathlib import Path

import checks
import numpy as np
import parity_of
import pytest

import kzoo
from kzoo import engine

pytestmark = pytest.mark.once
# Largest ||a - b|| over ||b||, by what an array's name starts with.
TOLERANCES = {
    "float64": {"forward": 1e-9, "gradient": 1e-9, "loss": 1e-9, "step": 1e-9},
    "float32": {"forward": 1e-5, "gradient": 1e-3, "loss": 1e-5, "step": 1e-3},
}
# Keras's optimizers with slots differ between TensorFlow and the other two also in float64 (Adam by 2e-6, momentum by
# 7e-9); plain SGD steps are held to 1e-9.
SLOTS = ("optimizers.", "learner/")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """Engine and precision to the arrays of all cases."""
    folder = tmp_path_factory.mktemp("parity")
    return {
        (name, precision): parity_of.arrays(folder, name, precision)
        for name in engine.installed()
        for precision in TOLERANCES
    }


def test_the_three_engines_are_here():
    assert engine.installed() == engine.ENGINES


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("other", engine.ENGINES[1:])
def test_engines_agree(arrays, other, precision):
    ours, theirs = arrays[other, precision], arrays[engine.ENGINES[0], precision]
    assert set(ours) == set(theirs) and len(ours) > 100
    worst = {}
    for name, b in theirs.items():
        a, kind = ours[name], name.partition("/")[2].partition(".")[0]
        assert a.dtype == b.dtype and a.shape == b.shape, name
        tolerance = TOLERANCES[precision][kind]
        if precision == "float64" and name.startswith(SLOTS):
            tolerance = 1e-5
        worst[name] = parity_of.distance(a, b) / tolerance
        assert np.isfinite(a).all(), name
    failed = {name: f"{value:.1f} times the tolerance" for name, value in worst.items() if value > 1}
    assert not failed


def test_loss_curves_of_penalty_and_sharpness_agree_to_1e_5(arrays):
    for name in ("learner/loss.critic_loss", "learner/loss.generator_loss"):
        curves = [arrays[engine_name, "float32"][name] for engine_name in engine.ENGINES]
        assert curves[0].shape == (5,) and curves[0][-1] != curves[0][0]
        for curve in curves[1:]:
            np.testing.assert_allclose(curve, curves[0], atol=1e-5, rtol=1e-5)


def test_every_public_name_has_a_case():
    assert checks.uncovered() == []


def test_every_callback_is_in_a_test():
    texts = "".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name in kzoo.callbacks.__all__ if f"{name}(" not in texts] == []


def test_a_public_name_without_a_case_is_found():
    assert checks.uncovered({"optimizers": {}}) == [
        f"optimizers.{name}"
        for name in ("LayerwiseLearningRates", "Lookahead", "NamedOptimizers", "NormalizedGradient")
    ]
