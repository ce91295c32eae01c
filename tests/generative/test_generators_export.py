"""What draws is exported with proof: the decoder of a VAE and the generator of a GAN, both of classes."""

import pytest
from cases import generative

import kzoo

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("name", "part"), [("vae", "decoder"), ("dcgan", "generator"), ("vq_vae", "decoder")]
)
def test_a_generator_is_exported_to_three_formats_within_tolerance(name, part, tmp_path):
    report = kzoo.export.export(generative.network(name).get_layer(part), tmp_path)
    assert {one.format: one.status for one in report.artefacts} == dict.fromkeys(
        ("savedmodel", "onnx", "tflite"), "passed"
    )
    assert max(one.difference for one in report.artefacts) <= 1e-4
    assert not any("prove" in note for note in report.notes), "the outputs do not depend on the inputs"
