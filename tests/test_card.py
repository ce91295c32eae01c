"""The card travels: an artefact of any format, alone in an empty folder, classifies a picture as its run does."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("PIL.Image")

from pictures import LABELS, card, write_pictures, write_run

from kzoo.export import card as cards
from kzoo.export import export
from kzoo.export.card import read_card_of, write_card
from kzoo.export.runners import open_artefact

pytestmark = pytest.mark.once
FILES = {
    "savedmodel": "savedmodel", "onnx": "model.onnx", "tflite": "model.tflite", "pt2": "model.pt2",
    "torchscript": "model.torchscript.pt", "openvino": "model.openvino",
}  # fmt: skip
PREDICT = """
import json, pathlib, sys
import torch
from kzoo.predict import predict
found = {}
for folder in pathlib.Path(sys.argv[1]).iterdir():
    (artefact,) = folder.iterdir()
    found[folder.name] = [[one.labels, one.scores] for one in predict(artefact, sys.argv[2])]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("card") / "run")


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory):
    """Each artefact in an otherwise empty folder of its own, far from any card.json."""
    out = tmp_path_factory.mktemp("out")
    export(run, out, formats=tuple(FILES))
    folder = tmp_path_factory.mktemp("alone") / "artefacts"
    for name, file in FILES.items():
        (folder / name).mkdir(parents=True)
        shutil.move(out / file, folder / name / file)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_every_format_carries_the_whole_card(alone, name):
    assert read_card_of(alone / name / FILES[name]) == card()


def test_a_lone_artefact_classifies_pictures_as_the_run_does(alone, run, tmp_path):
    from kzoo.predict import predict

    write_pictures(tmp_path / "pictures")
    expected = predict(run, tmp_path / "pictures")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREDICT, alone, tmp_path / "pictures"],
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == set(FILES)
    for name, answers in found.items():
        assert [labels for labels, _ in answers] == [list(one.labels) for one in expected], name
        scores = [one.scores for one in expected]
        np.testing.assert_allclose([given for _, given in answers], scores, atol=2e-5, err_msg=name)


def test_a_tflite_file_with_a_card_is_still_a_tflite_file_for_others(alone):
    file = alone / "tflite" / "model.tflite"
    assert file.read_bytes()[4:8] == b"TFL3"
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt").decode().splitlines() == LABELS
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read_bytes(), 0))
    (entry,) = [entry for entry in model.metadata if entry.name == b"kzoo.card"]
    assert json.loads(bytes(model.buffers[entry.buffer].data)) == card()
    for source in (dict(model_path=str(file)), dict(model_content=file.read_bytes())):
        assert "serving_default" in Interpreter(**source).get_signature_list()


def test_an_onnx_file_shows_its_card_to_onnxruntime(alone):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(alone / "onnx" / "model.onnx"))
    assert json.loads(session.get_modelmeta().custom_metadata_map["kzoo.card"]) == card()


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_card_is_replaced_and_the_numbers_stay(alone, tmp_path, name):
    file = tmp_path / FILES[name]
    shutil.copy(alone / name / FILES[name], file)
    images = {"image": np.random.default_rng(0).random((1, 6, 6, 1), "float32")}
    before = open_artefact(file).run(images)["scores"]
    for labels in (["a"], ["b"] * 400):
        write_card(file, name, card(labels=labels))
        assert read_card_of(file) == card(labels=labels)
        np.testing.assert_array_equal(open_artefact(file).run(images)["scores"], before)


def test_core_ml_keeps_the_card_in_its_user_defined_metadata(tmp_path):
    code = (
        "import sys, pathlib; sys.modules.update(dict.fromkeys(('tensorflow', 'torch', 'sklearn')))  # not needed\n"
        "from coremltools.proto import Model_pb2; from kzoo.export import card\n"
        "package = pathlib.Path(sys.argv[1], 'model.mlpackage'); file = package / card.COREML_MODEL\n"
        "file.parent.mkdir(parents=True); model = Model_pb2.Model(specificationVersion=7)\n"
        "model.description.metadata.shortDescription = 'kept'; file.write_bytes(model.SerializeToString())\n"
        "card.write_card(package, 'coreml', {'labels': ['ä', 'b']})\n"
        "meta = Model_pb2.Model.FromString(file.read_bytes()).description.metadata\n"
        "print(meta.shortDescription, meta.userDefined['kzoo.card'])"
    )
    pytest.importorskip("coremltools")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path, "-m", "kzoo"],  # as the command: no Keras
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == 'kept {"labels": ["ä", "b"]}', done.stderr[-2000:]
    assert read_card_of(tmp_path / "model.mlpackage") == {"labels": ["ä", "b"]}


def test_what_carries_no_card_says_so(run, tmp_path):
    assert read_card_of(run / "model.keras") is None
    (tmp_path / "weights.pt2").write_bytes(b"no archive")
    (tmp_path / "folder").mkdir()
    assert read_card_of(tmp_path / "weights.pt2") is read_card_of(tmp_path / "folder") is None
    write_card(tmp_path / "folder", "savedmodel", None)
    assert not list((tmp_path / "folder").iterdir())
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_card_of(tmp_path / "nothing.onnx")


def test_damaged_files_and_unknown_formats_are_refused(tmp_path):
    for name, content in (
        ("cut.onnx", b"\x72\xff\x01kzoo"),
        ("junk.onnx", b"\x07\x07\x07"),
        ("end.onnx", b"\xff"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"cannot be read.*Received: .*{name}"):
            read_card_of(tmp_path / name)
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "card.json").write_text("[1]")
    with pytest.raises(ValueError, match="not a dict"):
        read_card_of(tmp_path)
    with pytest.raises(ValueError, match=r"savedmodel, onnx.*Received: format_name='gguf'"):
        write_card(tmp_path, "gguf", {})
    (tmp_path / "x.pt2").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="not an archive of PyTorch's"):
        write_card(tmp_path / "x.pt2", "pt2", {})


def test_labels_are_one_a_line_whatever_they_hold():
    assert cards.labels_text({"labels": ["a\nb", 7]}) == "a b\n7\n"
    assert cards.labels_text({}) is None
