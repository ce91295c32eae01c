"""Export from the engine of this process: three formats, each run and compared, and nothing left half done.

Every start of the worker process costs seconds: one is kept for all tests here, and the errors that can be found
without it are. More models and formats: `test_export_formats.py`, `test_export_quantised.py`.
"""

import json
import os
import sys
import traceback

import keras
import numpy as np
import pytest

import kzoo
from kzoo.export import ExportError, open_artefact, reference, verify
from kzoo.export.formats import DEFAULT, FORMATS

layers = keras.layers
FILES = {"savedmodel", "model.onnx", "model.tflite", "export.json"}


@pytest.fixture(scope="module", autouse=True)
def one_worker():
    with kzoo.export.keep_workers():
        yield


def mlp():
    policy = keras.DTypePolicy("mixed_bfloat16")
    stack = [layers.Dense(16, "relu", dtype=policy), layers.Dropout(0.5), layers.Dense(3, dtype=policy)]
    return keras.Sequential([keras.Input((10,)), *stack])


def attention():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 8)(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return keras.Model(tokens, layers.Dense(20, name="logits")(layers.Dense(8, activation="gelu")(x)))


def two_inputs():
    inputs = {
        "numbers": keras.Input((4,), name="numbers"),
        "tokens": keras.Input((5,), dtype="int32", name="tokens"),
    }
    x = layers.GRU(6)(layers.Embedding(11, 4, mask_zero=True)(inputs["tokens"]))
    x = layers.Concatenate()([inputs["numbers"], x])
    return keras.Model(inputs, {"score": layers.Dense(1)(x), "label": layers.Dense(3, "softmax")(x)})


def small():
    return keras.Sequential([keras.Input((4,)), layers.Dense(2)])


# The model, its input and output names, and the batch that its TFLite file takes.
MODELS = {
    "mlp": (mlp, {"input"}, {"output"}, None),
    "attention": (attention, {"tokens"}, {"logits"}, None),
    "two_inputs": (two_inputs, {"numbers", "tokens"}, {"score", "label"}, 1),
}


@keras.saving.register_keras_serializable("test_export")
class Fatal(layers.Layer):
    """Kills the first worker that converts it, and leaves a file by which the next one knows."""

    def __init__(self, marker, **options):
        super().__init__(**options)
        self.marker = marker

    def call(self, x):
        converting = any(frame.name == "convert" for frame in traceback.extract_stack())
        if converting and not os.path.exists(self.marker):
            open(self.marker, "w").close()
            sys.stderr.write("about to die\n")
            sys.stderr.flush()
            os.abort()
        return 2 * x

    def get_config(self):
        return {**super().get_config(), "marker": self.marker}


def random_inputs(model, batch):
    runner = kzoo.export.runners.KerasRunner(model)
    bounds = reference._integer_bounds(model, runner.inputs)
    generator = np.random.default_rng(5)
    return reference._random_inputs(runner.inputs, bounds, batch, 7, generator, "standard_normal")


@pytest.mark.parametrize("name", MODELS)
def test_three_formats_reproduce_the_model_at_any_batch(name, tmp_path):
    build, inputs, outputs, tflite_batch = MODELS[name]
    model, lines = build(), []
    loaded = "tensorflow" in sys.modules
    report = kzoo.export.export(model, tmp_path, progress=lines.append)

    assert ("tensorflow" in sys.modules) == loaded, "export imported TensorFlow into this process"
    assert tuple(artefact.format for artefact in report.artefacts) == DEFAULT
    assert all(artefact.status == "passed" for artefact in report.artefacts)
    assert all(artefact.difference <= FORMATS[artefact.format].tolerance for artefact in report.artefacts)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert (report.engine, report.batch_sizes) == (keras.config.backend(), (1, 3))
    assert len(lines) == 4 and str(report).count("passed") == 3
    saved = json.loads((tmp_path / "export.json").read_text())
    assert [artefact["path"] for artefact in saved["artefacts"]] == [
        "savedmodel",
        "model.onnx",
        "model.tflite",
    ]
    assert all(artefact["bytes"] > 0 for artefact in saved["artefacts"])

    arrays = random_inputs(model, batch=2)
    expected = kzoo.export.runners.KerasRunner(kzoo.export.archive.in_float32(model)).run(arrays)
    files = ["model.onnx", "model.tflite"]
    for file in files + ["savedmodel"] * (keras.config.backend() == "tensorflow"):
        runner = open_artefact(tmp_path / file)
        assert {tensor.name for tensor in runner.inputs} == inputs
        batches = {tensor.shape[0] for tensor in runner.inputs}
        assert batches == {tflite_batch if file == "model.tflite" else None}
        actual = runner.run(arrays)
        assert set(actual) == outputs
        assert verify.difference(expected, actual) < 1e-5


def test_an_artefact_over_tolerance_leaves_the_previous_one_and_nothing_else(tmp_path, monkeypatch):
    true_cases = reference.reference_cases

    def wrong_cases(*arguments):
        cases = true_cases(*arguments)
        return [
            (inputs, {name: 1.01 * array for name, array in outputs.items()}) for inputs, outputs in cases
        ]

    monkeypatch.setattr(reference, "reference_cases", wrong_cases)
    (tmp_path / "model.onnx").write_text("the previous one")
    message = r"2 of 2 exports failed: onnx: differs .* by .*e-03, more than 1e-05; tflite: differs"
    with pytest.raises(ExportError, match=message) as raised:
        kzoo.export.export(small(), tmp_path, formats=("onnx", "tflite"))
    assert [artefact.status for artefact in raised.value.report.artefacts] == ["failed", "failed"]
    assert 0.009 < raised.value.report.artefacts[0].difference < 0.011
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "export.json"}
    assert (tmp_path / "model.onnx").read_text() == "the previous one"
    assert json.loads((tmp_path / "export.json").read_text())["artefacts"][0]["path"] is None


def test_a_format_that_kills_the_worker_is_reported_and_the_next_one_is_made(tmp_path):
    run, out = tmp_path / "run", tmp_path / "deep" / "out"
    run.mkdir()
    (run / "card.json").write_text('{"labels": ["a", "b"]}')
    keras.Sequential([keras.Input((4,)), Fatal(str(tmp_path / "marker"))]).save(run / "model.keras")
    message = r"1 of 2 exports failed: onnx: .*killed by SIGABRT.*about to die"
    with pytest.raises(ExportError, match=message) as raised:
        kzoo.export.export(run, out, formats=("onnx", "tflite"))
    assert [artefact.status for artefact in raised.value.report.artefacts] == ["failed", "passed"]
    assert {path.name for path in out.iterdir()} == {"model.tflite", "export.json", "card.json"}
    assert (out / "card.json").read_text() == (run / "card.json").read_text()


def test_a_class_that_the_worker_cannot_find_is_named(tmp_path):
    @keras.saving.register_keras_serializable("test_export")
    class Hidden(layers.Layer):
        def call(self, x):
            return 2 * x

    model = keras.Sequential([keras.Input((4,)), Hidden()])
    with pytest.raises(ExportError, match="cannot find 'Hidden': define it at the top of a module"):
        kzoo.export.export(model, tmp_path / "out", formats="tflite")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"export.json"}


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"formats": ("onnx", "caffe")},
            r"the formats are savedmodel, onnx, tflite, .*openvino\. Received: .*caffe",
        ),
        ({"formats": ()}, "the formats are"),
        ({"tolerance": {"onyx": 1.0}}, "onyx"),
        ({"tolerance": -1.0}, "at least 0"),
        ({"batch_sizes": (2, 2)}, "two different batch sizes"),
        ({"batch_sizes": (0, 3)}, "two different batch sizes"),
        ({"lengths": (7,)}, "two different lengths"),
        ({"formats": "tflite_int8"}, "tflite_int8 needs 64 examples"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        kzoo.export.export(small(), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_is_no_keras_model_is_refused(tmp_path):
    text, empty, cut = tmp_path / "text.keras", tmp_path / "folder", tmp_path / "cut.keras"
    text.write_text("hello")
    empty.mkdir()
    small().save(tmp_path / "whole.keras")
    cut.write_bytes((tmp_path / "whole.keras").read_bytes()[:-200])
    unbuilt = keras.Sequential([layers.Dense(2)])
    stateful = keras.Sequential([keras.Input(batch_shape=(2, 4, 3)), layers.LSTM(3, stateful=True)])
    refused = {
        "not a .keras archive": [text, cut],
        "holds no model.keras": [empty],
        "must be built": [unbuilt],
        "stateful": [stateful],
        "expected a Keras model": [layers.Dense(2), None],
    }
    for message, models in refused.items():
        for model in models:
            with pytest.raises(ValueError, match=message):
                kzoo.export.export(model, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"absent\.keras"):
        kzoo.export.export(tmp_path / "absent.keras", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        kzoo.export.export(small(), tmp_path / "file" / "out")
    with pytest.raises(OSError):
        kzoo.export.export(small(), tmp_path / "file")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setattr(
        "kzoo.export.exporter.find_spec", lambda name: None if name == "tf2onnx" else object()
    )
    with pytest.raises(ImportError, match=r"tf2onnx is not installed: pip install 'kzoo\[export\]'"):
        kzoo.export.export(small(), tmp_path / "out", formats="onnx")


def test_a_model_that_nothing_can_reproduce_is_refused_before_the_worker_starts(tmp_path):
    @keras.saving.register_keras_serializable("test_export")
    class Noise(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.seed = keras.random.SeedGenerator(1)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)

    for layer, message in [
        (Noise(), "other outputs for the same inputs"),
        (layers.Rescaling(np.inf), "infinity"),
    ]:
        with pytest.raises(ExportError, match=message):
            kzoo.export.export(keras.Sequential([keras.Input((4,)), layer]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_do_not_depend_on_inputs_are_told(tmp_path):
    dull = keras.Sequential(
        [keras.Input((4,)), layers.Dense(2, kernel_initializer="zeros"), layers.Softmax()]
    )
    assert reference.says_little(reference.reference_cases(dull, (1, 3), seed=0))
    assert not reference.says_little(reference.reference_cases(small(), (1, 3), seed=0))


def test_difference_is_a_share_of_the_largest_output():
    ours = {"a": np.array([0.0, -4.0]), "b": np.zeros(2)}
    assert verify.difference(ours, ours) == 0
    assert verify.difference(ours, {"a": np.array([0.0, -4.1]), "b": np.zeros(2)}) == pytest.approx(0.025)
    assert verify.difference(ours, {"a": ours["a"], "b": np.array([0.0, 0.5])}) == 0.5
    assert np.isnan(verify.difference(ours, {"a": np.array([np.nan, -4.0]), "b": np.zeros(2)}))
    with pytest.raises(ValueError, match="should be"):
        verify.difference(ours, {"a": ours["a"]})
    with pytest.raises(ValueError, match="shape"):
        verify.difference(ours, {"a": np.zeros((1, 2)), "b": np.zeros(2)})


def test_open_artefact_says_what_is_wrong_with_a_path(tmp_path):
    for name in ("model.onnx", "model.tflite", "model.txt", "model.xml"):
        (tmp_path / name).write_text("junk")
        with pytest.raises(ValueError, match=name):
            open_artefact(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"saved_model\.pb, .* or model\.keras"):
        open_artefact(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        open_artefact(tmp_path / "absent.onnx")


def test_the_keras_runner_checks_its_inputs(tmp_path):
    two_inputs().save(tmp_path / "model.keras")
    runner = open_artefact(tmp_path)
    assert [str(tensor) for tensor in runner.inputs] == ["numbers: float32 (?, 4)", "tokens: int32 (?, 5)"]
    arrays = {"numbers": np.zeros((2, 4)), "tokens": np.ones((2, 5), "int64")}
    assert {name: array.shape for name, array in runner.run(arrays).items()} == {
        "score": (2, 1),
        "label": (2, 3),
    }
    with pytest.raises(ValueError, match="the inputs are numbers, tokens"):
        runner.run({"numbers": arrays["numbers"]})
    with pytest.raises(ValueError, match=r"input tokens: int32 \(\?, 5\)\. Received: \(2, 6\)"):
        runner.run({**arrays, "tokens": np.ones((2, 6))})
    with pytest.raises(ValueError, match="same batch size"):
        runner.run({**arrays, "tokens": np.ones((3, 5))})
