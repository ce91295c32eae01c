"""`kzoo verify`: an artefact beside its model, at several batch sizes and lengths."""

import argparse
import json
import shutil

import keras
import numpy as np
import pytest

from kzoo.export import archive, commands, export
from kzoo.export.check import verify_artefact

layers = keras.layers


def tagger(width=4, units=3, names=("tokens", "tags"), **changes):
    """Tokens of any number to a row of scores each."""
    tokens = keras.Input((changes.get("length"),), dtype="int32", name=names[0])
    x = layers.Conv1D(width, 3, padding="same", activation="gelu")(layers.Embedding(20, 5)(tokens))
    return keras.Model(tokens, layers.Dense(units, name=names[1])(x))


def another():
    """A model of the same names and shapes."""
    model = tagger()
    model.set_weights([1.5 * weights + 0.1 for weights in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its file, and its artefacts."""
    folder, model = tmp_path_factory.mktemp("verify"), tagger()
    archive.save(model, folder / "model.keras")
    formats = ("onnx", "tflite") if keras.config.backend() == "jax" else ("onnx",)
    export(folder / "model.keras", folder, formats=formats)
    return model, folder


def test_an_artefact_is_compared_at_every_batch_size_and_length(exported):
    model, folder = exported
    check = verify_artefact(
        folder / "model.onnx", folder / "model.keras", batch_sizes=(1, 5), lengths=(3, 11, 8)
    )
    assert check.passed and check.difference <= 1e-5 and check.tolerance == 1e-5
    assert [case.shapes["tokens"] for case in check.cases] == [[b, n] for b in (1, 5) for n in (3, 11, 8)]
    assert "onnx" in str(check) and str(check).count("✓") == 6
    default = verify_artefact(folder / "model.onnx", model)
    assert len({tuple(case.shapes["tokens"]) for case in default.cases}) == len(default.cases) >= 6


def test_another_models_artefact_is_over_tolerance(exported, tmp_path):
    _, folder = exported
    check = verify_artefact(folder / "model.onnx", another(), batch_sizes=(2,))
    assert not check.passed and check.difference > 0.01 and "over 1e-05" in str(check)
    check.save(tmp_path / "check.json")
    saved = json.loads((tmp_path / "check.json").read_text())
    assert (
        saved["passed"] is False
        and saved["cases"][0]["differences"]["tags"] == check.cases[0].differences["tags"]
    )
    assert verify_artefact(folder / "model.onnx", another(), batch_sizes=(2,), tolerance=1e3).passed


def test_a_keras_file_is_an_artefact_too(exported, tmp_path):
    model, folder = exported
    assert verify_artefact(folder / "model.keras", model).difference == 0
    half = keras.DTypePolicy("mixed_float16")
    mixed = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, dtype=half, name="y")])
    archive.save(archive.in_float32(mixed), tmp_path / "full.keras")
    assert verify_artefact(tmp_path / "full.keras", mixed).passed, (
        "compared as the float32 copy that is exported"
    )


@pytest.mark.once
def test_a_file_made_for_one_example_runs_at_any_batch(exported):
    model, folder = exported
    check = verify_artefact(folder / "model.tflite", model, batch_sizes=(1, 3))
    assert check.passed and check.tolerance == 1e-4 and check.format == "tflite"
    assert {case.shapes["tokens"][0] for case in check.cases} == {1, 3}


def test_what_an_artefact_fixes_is_what_it_is_compared_at(exported, tmp_path):
    fixed = tagger(length=6)
    free = tagger()
    free.set_weights(fixed.get_weights())
    archive.save(fixed, tmp_path / "fixed.keras")
    check = verify_artefact(tmp_path / "fixed.keras", free, batch_sizes=(2, 4))
    assert check.passed and [case.shapes["tokens"] for case in check.cases] == [[2, 6], [4, 6]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(names=("words", "tags")), "tokens: int32 .*words: int32"),
        (dict(names=("tokens", "labels")), "outputs tags, and a model with labels"),
        (dict(units=4), r"'tags' should have shape"),
    ],
)
def test_names_and_shapes_that_do_not_fit_are_told(exported, changes, words):
    _, folder = exported
    with pytest.raises(ValueError, match=rf"{words}|Received: .*{words}"):
        verify_artefact(folder / "model.onnx", tagger(**changes))


def test_inputs_of_another_shape_are_told(exported, tmp_path):
    archive.save(tagger(length=6), tmp_path / "six.keras")
    with pytest.raises(ValueError, match=r"does not come from this model.*\(\?, 6\).*\(\?, 7\)"):
        verify_artefact(tmp_path / "six.keras", tagger(length=7))


def test_bad_requests_are_refused(exported, tmp_path):
    model, folder = exported
    for options in (dict(batch_sizes=()), dict(batch_sizes=(0,)), dict(lengths=(2.5,))):
        with pytest.raises(ValueError, match=r"at least 1\. Received: "):
            verify_artefact(folder / "model.onnx", model, **options)
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        verify_artefact(tmp_path / "none.onnx", model)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"broken\.onnx"):
        verify_artefact(tmp_path / "broken.onnx", model)


def test_the_command_ends_with_code_1_when_they_differ(exported, tmp_path, capsys):
    _, folder = exported
    other = shutil.copytree(folder, tmp_path / "other")
    archive.save(another(), other / "model.keras")
    command = argparse.ArgumentParser()
    run = commands.verify(command)
    codes = []
    for model in (folder, other):
        arguments = [folder / "model.onnx", model, "--batch-sizes", "1,2", "--json", tmp_path / "check.json"]
        codes.append(run(command.parse_args(list(map(str, arguments)))))
        assert json.loads((tmp_path / "check.json").read_text())["passed"] == (not codes[-1])
    assert codes == [0, 1] and "✓" in capsys.readouterr().out
    with pytest.raises(ValueError, match="whole numbers with commas"):
        run(command.parse_args([str(folder / "model.onnx"), str(folder), "--lengths", "3;4"]))


def test_numbers_that_are_not_finite_are_over_any_tolerance(exported, tmp_path):
    model = keras.Sequential([keras.Input((2,), name="x"), layers.Dense(2, name="y")])
    archive.save(model, tmp_path / "model.keras")
    broken = keras.models.clone_model(model)
    broken.set_weights([np.full((2, 2), np.nan, "float32"), np.zeros(2, "float32")])
    archive.save(broken, tmp_path / "broken.keras")
    check = verify_artefact(tmp_path / "broken.keras", model, tolerance=1e9)
    assert not check.passed and np.isnan(check.difference)
    check.save(tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text())["cases"][0]["differences"] == {"y": None}
