"""A GPT leaves its engine whole, and step by step with its caches: files that write what the model writes."""

import numpy as np
import pytest
from written_by_hand import randomized

import kzoo
from kzoo.export import open_artefact
from kzoo.export.operators import custom_operators
from kzoo.generation import step_model
from kzoo.models.text.gpt import gpt

V, PLACES = 7, 10
PROMPT = [3, 1, 4]


@pytest.fixture(scope="module", autouse=True)
def one_worker():
    with kzoo.export.keep_workers():
        yield


def small(**options):
    return randomized(gpt(V, max_sequence_length=PLACES, dim=8, depth=2, num_heads=2, **options), seed=2)


def passed(report):
    return {artefact.format: (artefact.status, artefact.message) for artefact in report.artefacts}


def written(runner, count, by):
    """What an artefact of a step writes after the prompt, read `by` so many symbols at a time, likeliest first."""
    tensors = {tensor.name: tensor for tensor in runner.inputs}
    kept = {
        name: np.zeros(tensor.shape, "float32")
        for name, tensor in tensors.items()
        if name not in ("tokens", "index")
    }
    text, read, index = list(PROMPT), [], 0
    while len(text) < len(PROMPT) + count:
        read = text[index : index + by] if index + by <= len(PROMPT) else text[index:]
        given = {"tokens": np.array([read], "int32"), "index": np.array([index], "int32")}
        found = runner.run(given | kept)
        kept = {name: found[f"next_{name}"] for name in kept}
        index += len(read)
        if index == len(text):
            text.append(int(np.argmax(found["logits"])))
    return text[len(PROMPT) :]


@pytest.mark.parametrize("rotary", [False, True], ids=["learned positions", "rotary positions"])
def test_a_gpt_is_exported_at_any_length_and_to_tflite_at_one(rotary, tmp_path):
    model = small(**(dict(position=kzoo.layers.RotaryPosition, use_bias=False) if rotary else {}))
    report = kzoo.export.export(model, tmp_path, lengths=(4, 9), static_shape={"tokens": (1, 6)})
    found = passed(report)
    assert found["savedmodel"] == found["onnx"] == ("passed", "any batch and length")
    assert found["tflite"][0] == "passed"
    assert custom_operators(tmp_path / "model.tflite") == ()
    assert not any("prove" in note for note in report.notes)


def test_a_step_with_its_caches_writes_what_the_model_writes_in_every_format(tmp_path):
    model = small()
    step = step_model(model, PLACES, length=1)
    assert step.count_params() == model.count_params()
    report = kzoo.export.export(step, tmp_path)
    assert {artefact.format: artefact.status for artefact in report.artefacts} == dict.fromkeys(
        ("savedmodel", "onnx", "tflite"), "passed"
    )
    assert custom_operators(tmp_path / "model.tflite") == ()
    (expected,) = kzoo.generate(model, [PROMPT], 6)
    assert len(set(expected.tolist())) > 1
    for file in ("model.onnx", "model.tflite"):
        assert written(open_artefact(tmp_path / file), 6, by=1) == expected.tolist(), file


def test_a_step_of_any_length_reads_a_prompt_at_once(tmp_path):
    model = small()
    kzoo.export.export(step_model(model, PLACES), tmp_path, formats=("onnx",), lengths=(2, 3))
    (expected,) = kzoo.generate(model, [PROMPT], 6)
    assert written(open_artefact(tmp_path / "model.onnx"), 6, by=3) == expected.tolist()


@pytest.mark.once
def test_what_makes_no_step_is_told():
    with pytest.raises(ValueError, match=r"the model has 10 positions.*Received: max_length=11"):
        step_model(small(), 11)
    with pytest.raises(ValueError, match=r"max_length must be a whole number"):
        step_model(small(), 0)
