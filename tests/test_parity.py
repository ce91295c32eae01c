"""The same forward, gradient and steps on every engine: the cases of `checks.py`, one process per engine.

The models are in `test_parity_models.py`.
"""

from pathlib import Path

import checks
import numpy as np
import parity_of
import pytest

import kzoo
from kzoo import engine

pytestmark = pytest.mark.once
# Curves of these in float32 are compared elsewhere: test_agents_agree.py, test_diffusion_losses.py.
ELSEWHERE = ("ActorCritic", "DQN", "Diffusion", "LatentSpace", "PPO", "Reinforce")
CASES = {
    "float64": "-models.",
    "float32": "-models.," + ",".join(f"learners.{name}" for name in ELSEWHERE),
}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """Engine and precision to the arrays of all cases."""
    folder = tmp_path_factory.mktemp("parity")
    return {
        (name, precision): parity_of.arrays(folder, name, precision, CASES[precision])
        for name in engine.installed()
        for precision in parity_of.TOLERANCES
    }


def test_the_three_engines_are_here():
    assert engine.installed() == engine.ENGINES


@pytest.mark.parametrize("precision", parity_of.TOLERANCES)
@pytest.mark.parametrize("other", engine.ENGINES[1:])
def test_engines_agree(arrays, other, precision):
    ours, theirs = arrays[other, precision], arrays[engine.ENGINES[0], precision]
    assert len(theirs) > 500
    assert not parity_of.apart(ours, theirs, precision)


def test_loss_curves_of_penalty_and_sharpness_agree_to_1e_5(arrays):
    for name in ("learner/loss.critic_loss", "learner/loss.generator_loss"):
        curves = [arrays[engine_name, "float32"][name] for engine_name in engine.ENGINES]
        assert curves[0].shape == (5,) and curves[0][-1] != curves[0][0]
        for curve in curves[1:]:
            np.testing.assert_allclose(curve, curves[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("case", "log"),
    [
        ("VariationalAutoencoder", "elbo"),
        ("AdversarialNetworks", "critic_loss"),
        ("AdversarialNetworks, penalty", "gradient_penalty"),
        ("AdversarialNetworks, spectral", "generator_loss"),
    ],
)
def test_the_first_twenty_losses_of_generators_agree_to_1e_4(arrays, case, log):
    name = f"learners.{case}/loss.{log}"
    curves = [arrays[engine_name, "float32"][name] for engine_name in engine.ENGINES]
    assert curves[0].shape == (20,) and curves[0][-1] != curves[0][0]
    for curve in curves[1:]:
        np.testing.assert_allclose(curve, curves[0], atol=1e-4, rtol=1e-4)


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
