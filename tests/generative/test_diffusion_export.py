"""One step of denoising, exported and compared with the network it came from."""

import pytest
from cases import diffusion

import kzoo
from kzoo.learners import Diffusion


@pytest.mark.once
def test_the_averaged_network_is_exported_with_proof(tmp_path):
    unet = diffusion.network((4, 4, 2), 3)
    for i, weight in enumerate(unet.trainable_weights):
        weight.assign(
            diffusion.drawn(weight.shape, i)
        )  # its last layers start at zero and would prove nothing
    report = kzoo.export.export(Diffusion(unet).average, tmp_path)
    status = {artefact.format: artefact.status for artefact in report.artefacts}
    assert status == {"savedmodel": "passed", "onnx": "passed", "tflite": "passed"}
    assert not any("prove" in note for note in report.notes)
