"""Families in the three formats, each proven against the model. The engines share the families among them: every
format's path from every engine is walked, and `make matrix` walks all of them from each."""

import keras
import pytest
from cases.models import sources
from exported_models import drawn

import kzoo
from kzoo import engine

TINY = [next(iter(module.TINY.items())) for module in sources().values()]
TURN = engine.ENGINES.index(keras.config.backend())
LIMITS = {"savedmodel": 1e-5, "onnx": 1e-5, "tflite": 1e-4}


@pytest.fixture(scope="module", autouse=True)
def workers():
    with kzoo.export.keep_workers():
        yield


@pytest.mark.parametrize(
    ("name", "arguments"), TINY[TURN :: len(engine.ENGINES)], ids=lambda value: str(value)[:30]
)
def test_a_family_is_exported_and_proven(name, arguments, tmp_path):
    model = drawn(kzoo.create_model(name, **{"num_classes": 3, **arguments}))
    report = kzoo.export.export(model, tmp_path)
    assert {artefact.format: artefact.status for artefact in report.artefacts} == dict.fromkeys(
        LIMITS, "passed"
    )
    for artefact in report.artefacts:
        assert artefact.difference <= LIMITS[artefact.format], artefact
    assert not any("prove" in note for note in report.notes), "the outputs do not depend on the inputs"
