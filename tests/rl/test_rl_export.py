"""Policies leave kzoo: exported, and proven to answer alike."""

import numpy as np
import pytest

import kzoo
from kzoo.models.rl import actor_critic, policy_of, q_network

pytestmark = pytest.mark.once


@pytest.mark.parametrize("kind", ("choices", "forces of normalised observations", "duelling values"))
def test_a_policy_is_exported_with_proof(kind, tmp_path):
    if kind == "duelling values":
        policy = policy_of(q_network((4,), 3, duelling=True, hidden_dims=(8,)))
    else:
        network = actor_critic((4,), 2, continuous=kind != "choices", hidden_dims=(8,))
        for weight in network.trainable_variables:  # the head begins at nearly nothing
            weight.assign(np.random.default_rng(0).normal(0, 0.5, weight.shape))
        moments = (np.full(4, 0.5), np.full(4, 2.0)) if kind != "choices" else ()
        policy = policy_of(network, *moments)
    report = kzoo.export.export(policy, tmp_path)
    assert {one.format: one.status for one in report.artefacts} == dict.fromkeys(
        ("savedmodel", "onnx", "tflite"), "passed"
    )
    assert not any("prove" in note for note in report.notes)
