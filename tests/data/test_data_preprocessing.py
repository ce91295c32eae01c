"""From the file to the model's input."""

import json

import numpy as np
import pytest

from kzoo.data import CorruptImageError, Preprocessing
from kzoo.data.preprocessing import read_image

pytestmark = pytest.mark.once


def test_it_is_the_formula():
    x = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    ours, theirs = Preprocessing((5, 6, 3), mean, std)(x), (x / 255 - mean) / std
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_fitted_it_gives_mean_zero_and_deviation_one():
    x = np.random.default_rng(0).integers(0, 200, (50, 7, 9, 3), dtype=np.uint8)
    out = Preprocessing.fit(x)(x).astype("float64")
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=1e-6)
    flat = np.full((3, 2, 2, 1), 9, "uint8")
    assert np.abs(Preprocessing.fit(flat)(flat)).max() < 1e-6  # no division by nothing


def test_it_survives_json():
    ours = Preprocessing((28, 28, 1), 0.1307, 0.3081, "bicubic")
    assert Preprocessing.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours
    assert Preprocessing((8, 8, 3)).to_dict()["mean"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "values",
    [
        dict(image_shape=(8, 8)),
        dict(image_shape=(8, 8, 2)),
        dict(image_shape=(8, 8, 3), mean=(0.1, 0.2)),
        dict(image_shape=(8, 8, 1), std=0.0),
        dict(image_shape=(8, 8, 1), mean=float("nan")),
        dict(image_shape=(8, 8, 1), interpolation="cubic"),
        dict(image_shape=(8, 8, 1), size=3),
        dict(mean=0.0),
    ],
)
def test_what_makes_no_sense_is_refused(values):
    with pytest.raises(ValueError, match="Received: "):
        Preprocessing.from_dict(values)


def test_images_of_another_shape_or_type_are_refused():
    prepare = Preprocessing((8, 8, 1))
    for wrong in (np.zeros((2, 8, 8, 3), "uint8"), np.zeros((2, 8, 8, 1), "float32")):
        with pytest.raises(ValueError, match=r"uint8 of shape \(8, 8, 1\). Received: "):
            prepare(wrong)


def test_files_are_converted_resized_and_prepared(tmp_path):
    image = pytest.importorskip("PIL.Image")
    colour = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    image.fromarray(colour).save(tmp_path / "colour.png")
    image.fromarray(colour[..., 0]).save(tmp_path / "grey.png")
    image.fromarray(colour[..., 0].astype("uint16") * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "colour.png"), colour)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", channels=1)[..., 0], colour[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png", channels=1)[..., 0], colour[..., 0])
    prepare = Preprocessing((5, 6, 1))
    batch = prepare.of_files([tmp_path / "colour.png", tmp_path / "grey.png"])
    assert batch.shape == (2, 5, 6, 1) and batch.dtype == np.float32
    assert prepare.read_image(tmp_path / "colour.png").shape == (5, 6, 1)


def test_a_photograph_is_turned_upright(tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = image.new("RGB", (12, 10))
    tags = picture.getexif()
    tags[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=tags)
    assert read_image(tmp_path / "turned.jpg").shape == (12, 10, 3)


def test_a_corrupt_image_is_named_and_a_missing_one_is_missing(tmp_path):
    pytest.importorskip("PIL")
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing")
    with pytest.raises(CorruptImageError, match=r"broken\.png cannot be read"):
        read_image(path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
