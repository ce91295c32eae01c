"""TFLite in four precisions on real data: what they weigh, what they cost in accuracy, and what is refused."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.export import ExportError, Tensor, examples, open_artefact, quality
from kzoo.export.operators import custom_operators

pytestmark = pytest.mark.once
layers = keras.layers
PRECISIONS = ("tflite", "tflite_float16", "tflite_dynamic_int8", "tflite_int8")


@pytest.fixture(scope="module", autouse=True)
def workers():
    with kzoo.export.keep_workers():
        yield


@pytest.fixture(scope="module")
def digits():
    """Scanned digits: `(x, y)` of 1297 to learn from and of 500 to be judged by."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype("float32")
    return (images[:1297], labels[:1297]), (images[1297:], labels[1297:])


@pytest.fixture(scope="module")
def trained(digits):
    """A convolutional network of 160,000 weights that reads digits."""
    keras.utils.set_random_seed(0)
    stack = [layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Conv2D(64, 3, padding="same", activation="relu"), layers.Flatten()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Dense(128, "relu"), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    model.fit(*digits[0], epochs=4, batch_size=64, verbose=0)
    return model


@pytest.fixture(scope="module")
def exported(trained, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    (x, _), judged = digits
    report = kzoo.export.export(
        trained, folder, formats=PRECISIONS, representative=x[:100], metric_data=judged, max_drop=0.01
    )
    return folder, {artefact.format: artefact for artefact in report.artefacts}


def test_quantised_files_keep_the_accuracy_and_are_a_half_and_a_quarter_of_the_size(
    exported, trained, digits
):
    _, artefacts = exported
    assert [artefact.status for artefact in artefacts.values()] == ["passed"] * 4
    scores = kzoo.export.runners.KerasRunner(trained).run({"input": digits[1][0]})["output"]
    accuracy = np.mean(scores.argmax(-1) == digits[1][1])
    assert accuracy > 0.85, "the network has learnt nothing, so that there is nothing to lose"
    whole = artefacts["tflite"].bytes
    for name, share in (("tflite_float16", 0.52), ("tflite_dynamic_int8", 0.3), ("tflite_int8", 0.3)):
        artefact = artefacts[name]
        assert artefact.bytes < share * whole
        assert artefact.metric["name"] == "accuracy"
        assert artefact.metric["model"] == pytest.approx(accuracy)
        assert artefact.metric["artefact"] >= accuracy - 0.01
        assert "accuracy" in artefact.message and "on 500 examples" in artefact.message
    assert artefacts["tflite"].metric is None and artefacts["tflite"].difference < 1e-5
    # Each really computes in what it says: coarser numbers, farther from the model.
    assert 1e-5 < artefacts["tflite_float16"].difference < artefacts["tflite_dynamic_int8"].difference
    assert artefacts["tflite_dynamic_int8"].difference < artefacts["tflite_int8"].difference < 0.1


def test_quantised_files_run_on_the_stock_interpreter_at_any_batch_with_floats_in_and_out(exported, digits):
    folder, _ = exported
    for file in ("model.float16.tflite", "model.dynamic_int8.tflite", "model.int8.tflite"):
        runner = open_artefact(folder / file)
        assert [str(tensor) for tensor in runner.inputs] == ["input: float32 (?, 8, 8, 1)"]
        scores = runner.run({"input": digits[1][0][:7]})["output"]
        assert scores.shape == (7, 10) and scores.dtype == "float32"
        assert custom_operators(folder / file) == ()


def test_full_int8_keeps_no_float_weights(exported):
    schema = kzoo.engine.require("ai_edge_litert.schema_py_generated", "export")
    model = schema.Model.GetRootAs((exported[0] / "model.int8.tflite").read_bytes(), 0)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    floats = [tensor for tensor in tensors if tensor.Type() == schema.TensorType.FLOAT32]
    assert sum(tensor.Type() == schema.TensorType.INT8 for tensor in tensors) > 8
    assert len(floats) == 2, "the input and the output only"


def test_a_recurrent_full_int8_takes_its_own_process_down_only(tmp_path):
    model = keras.Sequential([keras.Input((6, 5)), layers.LSTM(24), layers.Dense(3)])
    sequences = np.random.default_rng(0).standard_normal((64, 6, 5))
    with pytest.raises(
        ExportError, match=r"1 of 3 exports failed: tflite_int8: .*tflite_dynamic_int8"
    ) as raised:
        kzoo.export.export(
            model, tmp_path, formats=("tflite_int8", "tflite_dynamic_int8", "onnx"), representative=sequences
        )
    artefacts = raised.value.report.artefacts
    assert [artefact.status for artefact in artefacts] == ["failed", "passed", "passed"]
    assert "killed by SIG" in artefacts[0].message and "unroll=True" in artefacts[0].message
    assert (
        "top-1 agreement" in artefacts[1].message and "on 64 representative examples" in artefacts[1].message
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.dynamic_int8.tflite",
        "model.onnx",
        "export.json",
    }


def test_tokens_stay_integers_and_agreement_decides_without_labels(tmp_path):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(40, 32)(tokens)
    x = layers.GlobalAveragePooling1D()(layers.Dense(64, "gelu")(x + layers.MultiHeadAttention(2, 16)(x, x)))
    model = keras.Model(tokens, layers.Dense(4, name="scores")(x))
    seen = {"tokens": np.random.default_rng(0).integers(0, 40, (80, 12))}
    batches = [{"tokens": seen["tokens"][start : start + 16]} for start in range(0, 80, 16)]
    report = kzoo.export.export(model, tmp_path, formats=PRECISIONS[2:], representative=batches)
    for artefact in report.artefacts:
        assert artefact.status == "passed" and "on 80 representative examples" in artefact.message
        assert artefact.metric["name"] == "agreement" and artefact.metric["artefact"] >= 0.9
    runner = open_artefact(tmp_path / "model.int8.tflite")
    assert runner.inputs[0].dtype == "int32" and runner.outputs[0].dtype == "float32"


def test_a_quantised_file_that_loses_too_much_is_not_published(trained, digits, tmp_path):
    calls = []

    def strict(labels, scores):
        """Worse with every call."""
        calls.append(np.mean(labels == scores.argmax(-1)))
        return 1 - 0.1 * len(calls)

    with pytest.raises(
        ExportError, match=r"tflite_float16: strict 0\.\d+, the model 0\.\d+, .* more than 0\.01 lost"
    ):
        kzoo.export.export(trained, tmp_path, formats="tflite_float16", metric_data=digits[1], metric=strict)
    assert min(calls) > 0.85, "the metric was given other outputs"
    assert {path.name for path in tmp_path.iterdir()} == {"export.json"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"representative": np.zeros((63, 8, 8, 1))}, "64 examples or more. Received: 63"),
        (
            {"representative": np.zeros((64, 8, 9, 1))},
            r"does not fit the input input: .*Received: \(64, 8, 9, 1\)",
        ),
        ({"representative": {"image": np.zeros((64, 8, 8, 1))}}, "arrays for input. Received: image"),
        ({"representative": 7}, "examples are arrays or batches"),
        ({"metric_data": (np.zeros((9, 8, 8, 1)), np.zeros(8, int))}, "as many labels as examples"),
        ({"metric_data": (np.zeros((9, 8, 8, 1)), np.zeros((9, 10)))}, "labels must be class numbers"),
        ({"max_drop": 1.5}, "max_drop is a share"),
    ],
)
def test_examples_that_do_not_fit_are_refused_before_any_work(options, message, trained, tmp_path):
    with pytest.raises(ValueError, match=message):
        kzoo.export.export(trained, tmp_path, formats="tflite_float16", **options)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_examples_come_from_arrays_dicts_and_batches_and_are_spread_when_there_are_many():
    (tensor,) = kzoo.export.runners.KerasRunner(keras.Sequential([keras.Input((2,)), layers.Dense(1)])).inputs
    rows = np.arange(4000).reshape(2000, 2)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return rows[index * 25 : index * 25 + 25], index

    for data in (rows[:100], {"input": rows[:100]}, [rows[:60], rows[60:100]], Batches()):
        found = examples.representative_examples(data, [tensor])["input"]
        assert found.dtype == "float32" and np.array_equal(found, rows[:100])
    found = examples.representative_examples(rows, [tensor])["input"]
    assert len(found) == 1000 and np.array_equal(found[[0, -1]], rows[[0, -1]])
    x, y = examples.labelled_examples(((rows[:30], np.arange(30)) for _ in range(2)), [tensor])
    assert len(x["input"]) == 60 and np.array_equal(y, [*range(30)] * 2)


def test_verdicts_are_by_metric_then_by_agreement_then_by_difference(tmp_path):
    expected = {
        "scores": np.eye(10, dtype="float32")[np.arange(50) % 10],
        "size": np.ones((50, 1), "float32"),
    }

    def verdict(outputs, **options):
        judged = quality.Quality({"representative": {}}, {"representative": expected}, **options)
        if "labels" in options:
            judged.inputs["metric"], judged.outputs["metric"] = {}, expected
        kinds = dict.fromkeys(judged.inputs, outputs)
        quality.save_arrays(tmp_path / "answers.npz", kinds)
        return quality.judge(judged, tmp_path / "answers.npz", 0.0, 0.05)

    def changed(rows, size=1.0):
        outputs = {name: array.copy() for name, array in expected.items()}
        outputs["scores"][:rows] = np.roll(outputs["scores"][:rows], 1, axis=-1)
        outputs["size"] *= size
        return outputs

    assert verdict(changed(0))[0] == verdict(changed(5))[0] == "passed"
    assert verdict(changed(6))[0] == "failed" and "agreement 88.0%" in verdict(changed(6))[2]
    assert verdict(changed(0, size=1.04))[0] == "passed" and verdict(changed(0, size=1.06))[0] == "failed"
    assert verdict(changed(0, size=np.nan))[0] == "failed"
    labels = {"scores": np.arange(50) % 10}
    status, difference, _, figures = verdict(changed(5), labels=labels, max_drop=0.1)
    assert (status, difference) == ("passed", 1.0) and figures["artefact"] == pytest.approx(0.9)
    assert verdict(changed(6), labels=labels, max_drop=0.1)[0] == "failed"
    assert quality.judge(quality.Quality(), None, 0.04, 0.05)[0] == "passed"
    assert quality.judge(quality.Quality(), None, 0.06, 0.05)[0] == "failed"


def test_large_images_are_judged_a_few_at_a_time():
    """An eager call keeps all its activations: a batch has about a million numbers, or one row."""
    given = []

    class Counting:
        def __init__(self, shape):
            self.inputs = [Tensor("x", shape, "float32")]

        def run(self, arrays):
            given.append(len(arrays["x"]))
            return {"y": arrays["x"].sum((1, 2, 3))}

    for side, sizes in ((8, [32, 8]), (256, [5] * 8), (1024, [1] * 40)):
        given.clear()
        x = np.broadcast_to(np.arange(40.0)[:, None, None, None], (40, side, side, 3))
        found = quality.run_in_batches(Counting((None, side, side, 3)), {"x": x})
        assert given == sizes
        np.testing.assert_allclose(found["y"], np.arange(40.0) * side * side * 3)
