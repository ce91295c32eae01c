"""The matrix of models and formats on the engine of this process, and what an export does when it cannot.

Weights are such that outputs depend on inputs. One process per engine converts for all tests.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import exported_models
import keras
import numpy as np
import pytest
from exported_models import EIGHT, HARD

import kzoo
from kzoo.export import ExportError, open_artefact, shapes, staging
from kzoo.export.formats import FORMATS
from kzoo.export.operators import custom_operators, flex_operators, operators

layers = keras.layers
MODELS = {**EIGHT, **HARD, "ResNet-18": lambda: exported_models.resnet18(width=8)}
RECURRENT = ("LSTM", "GRU", "BiLSTM", "masked")
# What leaves a length free, and takes any in SavedModel and ONNX.
ANY_LENGTH = ("LSTM", "GRU", "BiLSTM", "Transformer encoder", "subclassed")


@pytest.fixture(scope="module", autouse=True)
def workers():
    with kzoo.export.keep_workers():
        yield


def status(report):
    return {artefact.format: artefact.status for artefact in report.artefacts}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_matrix_is_exported_to_three_formats_within_tolerance(name, tmp_path):
    model = MODELS[name]()
    report = kzoo.export.export(model, tmp_path)
    assert status(report) == {"savedmodel": "passed", "onnx": "passed", "tflite": "passed"}
    for artefact, limit in zip(report.artefacts, (1e-5, 1e-5, 1e-4)):
        assert artefact.difference <= limit
    assert not any("prove" in note for note in report.notes), "the outputs do not depend on the inputs"
    assert report.batch_sizes == (1, 3)
    messages = {artefact.format: artefact.message for artefact in report.artefacts}
    anything = "any batch and length" if name in ANY_LENGTH else "any batch"
    assert messages["savedmodel"] == messages["onnx"] == anything
    # Of a recurrent loop TFLite takes one example at a time, at any length: its lists need a fixed batch.
    single = "batch 1, any length" if name in ANY_LENGTH else "batch 1"
    assert messages["tflite"] == (single if name in RECURRENT else anything)
    assert len(report.lengths) == (2 if name in ANY_LENGTH else 0)
    assert custom_operators(tmp_path / "model.tflite") == ()
    assert len(operators(tmp_path / "model.tflite")) > 1
    for file in ("model.onnx", "model.tflite"):
        ours = kzoo.export.runners.KerasRunner(model).inputs
        assert {tensor.name for tensor in open_artefact(tmp_path / file).inputs} == {
            tensor.name for tensor in ours
        }


VENDORS = ("openvino", "pt2", "torchscript", "coreml")


def test_the_formats_of_vendors_are_made_from_this_engine(tmp_path):
    report = kzoo.export.export(MODELS["Transformer encoder"](), tmp_path, formats=VENDORS)
    unproven = "passed" if sys.platform == "darwin" else "unproven"
    assert status(report) == {**dict.fromkeys(VENDORS, "passed"), "coreml": unproven}
    assert report.failures == []
    for artefact in report.artefacts[:3]:
        assert artefact.difference <= 1e-5 and artefact.message == "any batch and length"
    assert (tmp_path / "model.mlpackage" / "Manifest.json").is_file()
    assert {path.name for path in (tmp_path / "model.openvino").iterdir()} == {"model.xml", "model.bin"}
    if unproven == "unproven":
        assert "numbers unproven off macOS" in report.artefacts[3].message
        assert report.artefacts[3].difference is None


TORCH = """
import sys, pathlib, exported_models, torch
from kzoo.export import open_artefact, torchscript
folder = pathlib.Path(sys.argv[1])
for file in ("model.pt2", "model.torchscript.pt"):
    runner = open_artefact(folder / file)
    if runner.run({"signal": torch.ones(2, 4, 5).numpy()})["steps"].shape != (2, 4, 3):
        raise SystemExit("a wrong shape")
    try:
        runner.run({"signal": torch.ones(2, 9, 5).numpy()})
    except ValueError as error:
        print(error)
try:
    torch.jit.load(folder / "model.torchscript.pt")(torch.ones(2, 9, 5))
except torch.jit.Error as error:
    print(error)
try:
    torchscript.convert(exported_models.bilstm(), pathlib.Path("never.pt"))
except NotImplementedError as error:
    print(error)
"""


@pytest.mark.once
def test_pytorch_formats_and_core_ml_take_a_recurrent_loop_at_one_length_and_say_which(tmp_path):
    formats = ("pt2", "torchscript", "coreml")
    report = kzoo.export.export(MODELS["LSTM"](), tmp_path / "out", formats=formats, lengths=(4, 6))
    messages = {artefact.format: artefact.message for artefact in report.artefacts}
    assert report.lengths == (4, 6)
    assert messages["pt2"] == messages["torchscript"] == "takes signal: float32 (?, 4, 5)"
    assert messages["coreml"].endswith("takes signal: float32 (1, 4, 5)")  # by way of PyTorch
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", TORCH, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    # Nobody gets the first four steps of nine for an answer: not from kzoo, not from the file alone.
    assert done.stdout.count("wrong shape for the input signal: float32 (?, 4, 5)") == 2
    assert "the input must have size 4 at axis 1" in done.stdout
    assert "holds for one length only" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.once
def test_a_chosen_shape_is_what_tflite_takes_while_the_others_stay_free(tmp_path):
    formats, chosen = ("onnx", "tflite", "pt2"), {"signal": (4, 9, 5)}
    report = kzoo.export.export(MODELS["GRU"](), tmp_path, formats=formats, static_shape=chosen)
    assert [artefact.message for artefact in report.artefacts] == [
        "any batch and length",
        "takes signal: float32 (4, 9, 5)",
        "takes signal: float32 (4, 9, 5)",
    ]
    assert open_artefact(tmp_path / "model.tflite").inputs[0].shape == (4, 9, 5)
    for wrong in ({"sound": (1, 2, 5)}, {"signal": (1, 2, 6)}, {"signal": (1, 2)}, {"signal": (0, 2, 5)}):
        with pytest.raises(ValueError, match="Received"):
            kzoo.export.export(MODELS["GRU"](), tmp_path, formats="tflite", static_shape=wrong)


@pytest.mark.once
def test_a_model_that_keras_cannot_trace_with_free_sizes_is_exported_for_the_chosen_ones(tmp_path):
    inputs = keras.Input((None, None, 2), name="image")
    x = layers.UpSampling2D(interpolation="bilinear")(layers.Conv2D(3, 3)(inputs))
    model = exported_models.drawn(keras.Model(inputs, x))
    with pytest.raises(ExportError, match=r"tflite: .*a static_shape for the free lengths may help"):
        kzoo.export.export(model, tmp_path, formats="tflite")
    chosen = {"image": (None, 10, 12, 2)}
    report = kzoo.export.export(model, tmp_path, static_shape=chosen)
    assert all("takes image: float32 (?, 10, 12, 2)" in artefact.message for artefact in report.artefacts)


@pytest.mark.once
def test_shapes_are_read_as_the_command_line_writes_them():
    assert shapes.parse_shape("input=1x64x8") == ("input", (1, 64, 8))
    assert shapes.parse_shape("tokens=?x16") == ("tokens", (None, 16))
    for text in ("input", "input=", "input=1x", "=1x2", "input=1,2", "input=-1x2"):
        with pytest.raises(ValueError, match="NAME=1x64x8"):
            shapes.parse_shape(text)


@pytest.mark.once
def test_flex_operators_are_refused_unless_asked_for_and_then_named(tmp_path):
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Resizing(6, 6, interpolation="bicubic")(layers.Conv2D(3, 3)(inputs))
    model = exported_models.drawn(keras.Model(inputs, x))
    with pytest.raises(ExportError, match="TFLite has no built-in operator for ResizeBicubic"):
        kzoo.export.export(model, tmp_path, formats="tflite")
    with pytest.warns(UserWarning, match="needs the Flex delegate for FlexResizeBicubic"):
        report = kzoo.export.export(model, tmp_path, formats="tflite", allow_flex=True)
    # Nothing that can be installed runs such a file any more, so that nobody knows whether it is right.
    assert status(report) == {"tflite": "unproven"} and "FlexResizeBicubic" in report.notes[0]
    assert flex_operators(tmp_path / "model.tflite") == ("FlexResizeBicubic",)
    assert custom_operators(tmp_path / "model.tflite") == ("FlexResizeBicubic",)
    with pytest.raises(ValueError, match="lacks operators of TensorFlow's: FlexResizeBicubic"):
        open_artefact(tmp_path / "model.tflite")
    report = kzoo.export.export(MODELS["CNN"](), tmp_path / "cnn", formats="tflite", allow_flex=True)
    assert status(report) == {"tflite": "passed"} and report.notes == []
    assert flex_operators(tmp_path / "cnn" / "model.tflite") == ()


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="Keras has this interpolation there only")
def test_onnx_that_would_be_wrong_without_a_word_is_not_written(tmp_path):
    inputs = keras.Input((9, 9, 3), name="image")
    x = layers.Resizing(4, 4, interpolation="area")(layers.Conv2D(3, 3)(inputs))
    with pytest.raises(ExportError, match="onnx: differs from the model by"):
        kzoo.export.export(exported_models.drawn(keras.Model(inputs, x)), tmp_path, formats="onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"export.json"}


@pytest.mark.once
def test_classes_of_a_named_module_are_found_here_and_in_the_worker(tmp_path, monkeypatch):
    (tmp_path / "lawn_layers.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable('lawn')\n"
        "class Mow(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return keras.ops.minimum(x, 0.5)\n"
    )
    code = "import keras, lawn_layers; keras.Sequential([keras.Input((4,)), lawn_layers.Mow()]).save('mow.keras')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    with pytest.raises(ValueError, match="Mow"):
        kzoo.export.export("mow.keras", "out", formats="onnx")
    with pytest.raises(ImportError, match="lawn_mowers"):
        kzoo.export.export("mow.keras", "out", formats="onnx", modules=("lawn_mowers",))
    report = kzoo.export.export("mow.keras", "out", formats="onnx", modules=("lawn_layers",))
    assert status(report) == {"onnx": "passed"}


@pytest.mark.once
def test_a_class_of_a_script_is_refused_with_the_engines_own_route(tmp_path):
    (tmp_path / "script.py").write_text(
        "import keras, kzoo\n"
        "@keras.saving.register_keras_serializable()\n"
        "class Doubled(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return 2 * x\n"
        "model = keras.Sequential([keras.Input((4,)), Doubled()])\n"
        "try:\n"
        "    kzoo.export.export(model, 'out', formats='onnx')\n"
        "except kzoo.export.ExportError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert "cannot import a class from this main script" in done.stdout
    assert "model.export(path) writes a SavedModel" in done.stdout


def write_generation(folder, number):
    folder.mkdir()
    for index in range(20):
        (folder / f"part-{index}").write_text(str(number))


SWAPS = """
import itertools, pathlib, sys
import staging  # alone: importing kzoo takes seconds
folder = pathlib.Path(sys.argv[1])
for number in itertools.count(1):
    with staging.staging(folder) as aside:
        (aside / "new").mkdir()
        for index in range(20):
            (aside / "new" / f"part-{index}").write_text(str(number))
        staging.replace(aside / "new", folder / "savedmodel", aside / "previous")
    if number == 1:
        print("started", flush=True)
"""


@pytest.mark.once
def test_a_directory_is_replaced_whole_however_often_the_process_is_killed(tmp_path):
    write_generation(tmp_path / "savedmodel", 0)
    generator, seen, left = np.random.default_rng(0), set(), 0
    for _ in range(8):
        command = [sys.executable, "-c", SWAPS, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(Path(staging.__file__).parent)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout.readline() == b"started\n"
        time.sleep(generator.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        parts = [path.read_text() for path in (tmp_path / "savedmodel").iterdir()]
        assert len(parts) == 20 and len(set(parts)) == 1, "neither the old version nor the new one"
        seen.add(parts[0])
        left += len(list(tmp_path.glob(".export-*")))
        staging.clean(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["savedmodel"]
    assert len(seen) > 1 and left > 0, "no kill came at an interesting moment"


@pytest.mark.once
def test_a_folder_of_an_export_that_lives_is_left_alone(tmp_path):
    with staging.staging(tmp_path) as folder:
        staging.clean(tmp_path)
        assert folder.is_dir()
        with staging.staging(tmp_path) as other:
            assert other != folder and folder.is_dir()
    assert list(tmp_path.iterdir()) == []


EXPORT = """
import sys, exported_models, kzoo
from kzoo.export import export
export(exported_models.EIGHT["CNN"](), sys.argv[1], progress=lambda line: print(line, flush=True))
"""


@pytest.mark.once
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the worker process in /proc")
def test_a_killed_export_leaves_the_previous_artefacts_and_no_process(tmp_path):
    write_generation(tmp_path / "savedmodel", 0)
    (tmp_path / "model.onnx").write_text("the previous one")
    (tmp_path / ".export-1-alive").mkdir()  # process 1 always lives
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert any("onnx: any batch" in line for line in process.stdout)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(list((tmp_path / "savedmodel").iterdir())) == 20
    assert (tmp_path / "model.onnx").read_text() == "the previous one"
    assert children, "there was no worker"
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            break
        time.sleep(0.1)
    assert not any(Path(f"/proc/{child}").exists() for child in children), "the worker outlived its caller"
    (left,) = [path for path in tmp_path.glob(".export-*") if path.name != ".export-1-alive"]
    assert re.match(rf"\.export-{process.pid}-", left.name)
    with staging.staging(tmp_path):
        assert not left.exists()
    assert (tmp_path / ".export-1-alive").exists()


@pytest.mark.once
def test_the_card_of_a_run_is_in_every_artefact_of_a_model_of_dicts_and_all_still_pass(tmp_path):
    from kzoo.export.card import read_card_of

    run = tmp_path / "run"
    run.mkdir()
    card = {"labels": list("abc"), "outputs": "probabilities"}
    (run / "card.json").write_text(json.dumps(card))
    MODELS["two inputs"]().save(run / "model.keras")
    formats = ("savedmodel", "onnx", "tflite", "tflite_float16", *VENDORS)
    report = kzoo.export.export(run, tmp_path / "out", formats=formats)
    assert report.failures == []
    assert all(artefact.message.count("any batch") for artefact in report.artefacts[:-1])
    for name in formats:
        assert read_card_of(tmp_path / "out" / FORMATS[name].file) == card
    for file in ("model.onnx", "model.tflite", "model.openvino"):
        runner = open_artefact(tmp_path / "out" / file)
        arrays = {"numbers": np.ones((2, 4)), "tokens": np.ones((2, 7))}
        assert {name: array.shape for name, array in runner.run(arrays).items()} == {
            "label": (2, 3),
            "score": (2, 1),
        }


@pytest.mark.once
def test_kept_workers_are_used_again_and_others_end_with_their_export(tmp_path, monkeypatch):
    from kzoo.export import process

    started, start = [], process.Worker.__init__

    def counted(worker, engine):
        started.append(worker)
        start(worker, engine)

    monkeypatch.setattr(process.Worker, "__init__", counted)
    for _ in range(2):
        kzoo.export.export(MODELS["two inputs"](), tmp_path, formats="onnx")
    assert len(started) <= 1 and all(worker.alive for worker in started)
    monkeypatch.setattr(process, "_kept", None)
    kzoo.export.export(MODELS["two inputs"](), tmp_path, formats="onnx")
    assert not started[-1].alive
