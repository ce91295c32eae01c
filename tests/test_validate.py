"""Classifiers on folders of images: accuracies as counted by hand, rows of a table, files read ahead."""

import csv
import json

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data import FileBatches, Preprocessing
from kzoo.data.preprocessing import CorruptImageError, read_image
from kzoo.validate import add_row, validate

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of three classes, of different sizes."""
    random = np.random.default_rng(0)
    for i, name in enumerate(("cat", "dog", "owl")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for j in range(4):
            pixels = random.integers(0, 255, (20 + i, 30 + j, 3)).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{j}.png")
    return tmp_path / "pictures"


@pytest.fixture
def run(tmp_path):
    """A model and its card."""
    (tmp_path / "run").mkdir()
    model = kzoo.create_model("mlp_small", image_shape=(8, 8, 3), num_classes=3)
    model.save(tmp_path / "run" / "model.keras")
    card = {"labels": ["cat", "dog", "owl"], "preprocessing": Preprocessing((8, 8, 3), resize=10).to_dict()}
    (tmp_path / "run" / "card.json").write_text(json.dumps(card))
    return tmp_path / "run", model


def test_accuracy_is_that_of_the_predictions(folder, run):
    path, model = run
    row = validate(path, folder, batch_size=5, workers=2, progress=False)
    files = sorted(folder.rglob("*.png"))
    x = Preprocessing((8, 8, 3), resize=10).of_files(files)
    predicted = np.argmax(model.predict(x, verbose=0), axis=-1)
    wanted = np.repeat([0, 1, 2], 4)
    assert row["top1"] == pytest.approx(np.mean(predicted == wanted)) and row["top5"] == 1.0
    assert row["images"] == 12 and row["images_per_second"] > 0
    assert row["engine"] == keras.config.backend()


@pytest.mark.once
def test_rows_are_added_to_a_table(tmp_path, folder, run):
    row = validate(run[0], folder, progress=False)
    add_row(tmp_path / "table.csv", row)
    add_row(tmp_path / "table.csv", row)
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and float(rows[1]["top1"]) == row["top1"]


@pytest.mark.once
def test_other_classes_are_told(tmp_path, folder, run):
    (folder / "ant").mkdir()
    with pytest.raises(ValueError, match=r"the model's 3 classes.*Received: 4 sub-folders, ant, cat"):
        validate(run[0], folder, progress=False)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        validate(run[0], tmp_path / "none", progress=False)
    with pytest.raises(ValueError, match="did you mean resnet"):
        validate("resnet5", folder, progress=False)


def test_files_give_the_batches_that_arrays_give(folder):
    paths = sorted(folder.rglob("*.png"))
    y = np.arange(12)
    prepare = Preprocessing((8, 8, 3), 0.4, 0.2)
    x = np.stack([read_image(path, size=(8, 8)) for path in paths])
    ours = FileBatches(paths, y, 5, preprocess=prepare, seed=3, workers=3)
    theirs = kzoo.data.Batches(x, y, 5, preprocess=prepare, seed=3)
    for _ in range(2):
        ours.on_epoch_begin()
        theirs.on_epoch_begin()
        for i in range(len(theirs)):
            for a, b in zip(ours[i], theirs[i], strict=True):
                np.testing.assert_array_equal(a, b)
        ours.on_epoch_end()
        theirs.on_epoch_end()
    model = kzoo.create_model("mlp_small", image_shape=(8, 8, 3), num_classes=12)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.fit(ours, epochs=2, verbose=0).history["loss"]).all()


@pytest.mark.once
def test_a_broken_file_is_named_when_its_batch_is_asked_for(folder):
    (folder / "cat" / "1.png").write_bytes(b"no picture")
    batches = FileBatches(
        sorted(folder.rglob("*.png")), None, 4, preprocess=Preprocessing((8, 8, 3)), shuffle=False
    )
    with pytest.raises(CorruptImageError, match=r"1\.png"):
        batches[0]
    assert batches[1][0].shape == (4, 8, 8, 3)
    with pytest.raises(ValueError, match="must be a thread"):
        FileBatches(["a"], None, 1, preprocess=None, workers=0)


@pytest.mark.once
@pytest.mark.parametrize("size", [(40, 60), (61, 33)])
def test_the_middle_of_a_picture_is_what_torchvision_cuts_out(tmp_path, size):
    """Resize(16) then CenterCrop(12): shorter side 16, longer side cut to whole pixels, the middle."""
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    h, w = size
    h2, w2 = (16, int(16 * w / h)) if h <= w else (int(16 * h / w), 16)
    resized = np.asarray(Image.fromarray(pixels).resize((w2, h2), Image.Resampling.BICUBIC))
    top, left = round((h2 - 12) / 2), round((w2 - 12) / 2)
    ours = Preprocessing((12, 12, 3), interpolation="bicubic", resize=16).read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(ours, resized[top : top + 12, left : left + 12])
    with pytest.raises(ValueError, match="resize must be at least"):
        Preprocessing((12, 12, 3), resize=10)
