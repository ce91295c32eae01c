"""Labels and scores for image files, by anything that can be opened."""

import csv
import io
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kzoo import predict
from kzoo.data import CorruptImageError, Preprocessing
from kzoo.export import runners

Image = pytest.importorskip("PIL.Image")

LABELS = ["dark", "grey", "bright"]
PREPARE = Preprocessing((4, 4, 1))


def write_card(folder, **changes):
    card = {"labels": LABELS, "preprocessing": PREPARE.to_dict(), "outputs": "logits"} | changes
    (folder / "card.json").write_text(json.dumps({key: v for key, v in card.items() if v is not None}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that tells dark from bright pictures: logits `-8 (mean - centre)^2` up to a constant."""
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    centres = np.array([0.0, 0.5, 1.0])
    model.layers[-1].set_weights([np.tile(16 * centres / 16, (16, 1)), -8 * centres**2])
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def run_folder(saved, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(saved.read_bytes())
    write_card(folder)
    return folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name, level in (("a.png", 0), ("b.jpg", 255), ("deep/c.png", 128)):
        Image.new("RGB", (9, 7), (level,) * 3).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.parametrize("inside", ["", "model.keras"], ids=["run folder", "file"])
def test_a_run_classifies_a_folder(run_folder, pictures, inside):
    found = predict.predict(run_folder / inside, pictures, top=2)
    assert [(one.file.name, one.labels[0]) for one in found] == [
        ("a.png", "dark"),
        ("b.jpg", "bright"),
        ("c.png", "grey"),
    ]
    logits = np.array([0, 0, 0]) - 8 * np.array([0, 0.25, 1])
    np.testing.assert_allclose(found[0].scores, predict.softmax(logits)[:2], atol=1e-6)
    assert all(len(one.scores) == 2 and one.error is None for one in found)


def test_batches_change_nothing_and_files_may_be_mixed(run_folder, pictures):
    files = [pictures / "b.jpg", str(pictures / "deep"), pictures / "a.png", pictures / "a.png"]
    found = predict.predict(run_folder, files, batch_size=2)
    assert [one.file.name for one in found] == ["b.jpg", "c.png", "a.png"]
    alone = [predict.predict(run_folder, one.file)[0] for one in found]
    assert [one.labels for one in alone] == [one.labels for one in found]
    np.testing.assert_allclose([one.scores for one in alone], [one.scores for one in found], atol=1e-6)


def fake(monkeypatch, **outputs):
    seen = []
    monkeypatch.setattr(
        runners,
        "open_artefact",
        lambda path: SimpleNamespace(
            inputs=(SimpleNamespace(name="image"),),
            run=lambda arrays: (
                seen.append(arrays),
                {k: np.tile(v, (len(arrays["image"]), 1)) for k, v in outputs.items()},
            )[1],
        ),
    )
    return seen


def test_an_artefact_is_given_its_named_input_and_the_card_above_it(tmp_path, pictures, monkeypatch):
    seen = fake(monkeypatch, scores=np.array([0.1, 0.7, 0.2]))
    (tmp_path / "out" / "savedmodel").mkdir(parents=True)
    write_card(tmp_path / "out", outputs="probabilities")
    found = predict.predict(tmp_path / "out" / "savedmodel", pictures / "a.png")
    assert found[0].labels == ("grey", "bright", "dark") and found[0].scores == (0.7, 0.2, 0.1)
    (arrays,) = seen
    np.testing.assert_array_equal(arrays["image"], np.zeros((1, 4, 4, 1), "float32"))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [({"a": np.zeros(3), "b": np.zeros(3)}, "one output"), ({"a": np.zeros(4)}, "one score per label")],
)
def test_a_model_that_does_not_fit_its_card_is_refused(run_folder, pictures, monkeypatch, outputs, message):
    fake(monkeypatch, **outputs)
    with pytest.raises(ValueError, match=rf"{message}.*Received: "):
        predict.predict(run_folder, pictures)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_corrupt_images_are_named_or_skipped(run_folder, pictures, batch_size):
    (pictures / "b.jpg").write_bytes((pictures / "b.jpg").read_bytes()[:300])
    with pytest.raises(CorruptImageError, match=r"b\.jpg cannot be read"):
        predict.predict(run_folder, pictures)
    with pytest.warns(UserWarning, match=r"1 image\(s\) skipped.*b\.jpg"):
        found = predict.predict(run_folder, pictures, batch_size=batch_size, on_corrupt="skip")
    assert [bool(one.labels) for one in found] == [True, False, True]
    assert "b.jpg" in found[1].error and found[2].labels[0] == "grey"


def test_a_model_without_its_card_is_refused(run_folder, pictures):
    (run_folder / "card.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"the model has no card\.json.*Received: .*run"):
        predict.predict(run_folder, pictures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(labels=None), "the card lacks labels"),
        (dict(preprocessing=None), "the card lacks preprocessing"),
        (dict(outputs="odds"), "'logits' or 'probabilities'"),
        (dict(preprocessing={"size": 3}), "image_shape"),
    ],
)
def test_a_card_that_says_too_little_is_refused(run_folder, pictures, changes, message):
    write_card(run_folder, **changes)
    with pytest.raises(ValueError, match=rf"{message}.*Received: "):
        predict.predict(run_folder, pictures)
    (run_folder / "card.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        predict.predict(run_folder, pictures)


def test_what_is_not_there_is_said(run_folder, pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model"):
        predict.predict(tmp_path / "nothing.onnx", pictures)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        predict.predict(run_folder, pictures / "none.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no image to classify"):
        predict.predict(run_folder, tmp_path / "empty")
    with pytest.raises(ValueError, match="top=0"):
        predict.predict(run_folder, pictures, top=0)


def test_predictions_become_a_table_and_csv(tmp_path):
    console = pytest.importorskip("rich.console")
    found = [
        predict.Prediction(tmp_path / "a, b.png", ("cat", "dog"), (0.9, 0.1)),
        predict.Prediction(tmp_path / "[c].png", error="cut short"),
    ]
    stream = io.StringIO()
    predict.write_csv(found, stream)
    rows = list(csv.reader(stream.getvalue().splitlines()))
    assert rows[0] == ["file", "label_1", "score_1", "label_2", "score_2", "error"]
    assert rows[1] == [str(tmp_path / "a, b.png"), "cat", "0.900000", "dog", "0.100000", ""]
    assert rows[2] == [str(tmp_path / "[c].png"), "", "", "", "", "cut short"]
    screen = console.Console(width=200, record=True, file=io.StringIO())
    screen.print(predict.table(found))
    shown = screen.export_text()
    assert "90.0%" in shown and "dog 10.0%" in shown and "[c].png" in shown and "cut short" in shown
