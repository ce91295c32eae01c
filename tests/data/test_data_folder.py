"""A folder of images as a data set: how it is laid out, and what is refused."""

import warnings

import numpy as np
import pytest

from kzoo.data import CorruptImageError, load

pytestmark = pytest.mark.once

Image = pytest.importorskip("PIL.Image")


def draw(path, size=(6, 4), colour=(200, 10, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new(mode, size, colour if mode == "RGB" else colour[0])
    picture.save(path)


@pytest.fixture
def flat(tmp_path):
    """Two classes of ten images."""
    for i in range(10):
        draw(tmp_path / "pets" / "cat" / f"{i}.png", colour=(i, 0, 0))
        draw(tmp_path / "pets" / "dog" / f"{i}.png", colour=(0, i, 0))
    return tmp_path / "pets"


def test_a_flat_folder_is_split_by_seed(flat):
    data = load(flat, validation=0.25)
    assert data.name == "pets" and data.labels == ("cat", "dog") and data.image_shape == (4, 6, 3)
    assert [len(part[1]) for part in (data.train, data.validation, data.test)] == [12, 4, 4]
    assert sorted(data.test[1]) == [0, 0, 1, 1] and len(set(data.train[1][:8])) == 2
    np.testing.assert_array_equal(data.test[0], load(flat).test[0])
    assert any(not np.array_equal(data.test[0], load(flat, seed=seed).test[0]) for seed in (1, 2, 3))
    for x, y in (data.train, data.test):
        assert not x[y == 0, ..., 1].any() and not x[y == 1, ..., 0].any()  # red cats, green dogs


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_parts_that_are_there_are_used_as_they_are(tmp_path, name):
    for part, count in (("train", 3), (name, 2), ("test", 1)):
        for label in "ab":
            for i in range(count):
                draw(tmp_path / part / label / f"{i}.jpg")
    data = load(tmp_path)
    assert [len(part[1]) for part in (data.train, data.validation, data.test)] == [6, 4, 2]


def test_a_class_may_be_named_train(tmp_path):
    for label in ("train", "bus"):
        for i in range(5):
            draw(tmp_path / label / f"{i}.png")
    assert load(tmp_path).labels == ("bus", "train")


def test_grey_images_have_one_channel_and_mixed_sizes_become_the_commonest(flat, tmp_path):
    for i in range(5):
        draw(tmp_path / "grey" / "a" / f"{i}.png", mode="L", size=(5, 5))
        draw(tmp_path / "grey" / "b" / f"{i}.png", mode="L", size=(9, 7) if i < 2 else (5, 5))
    assert load(tmp_path / "grey").image_shape == (5, 5, 1)
    assert load(flat, image_size=(3, 2)).image_shape == (3, 2, 3)
    assert load(flat, image_size=8).image_shape == (8, 8, 3)


def test_corrupt_images_are_named_and_refused_or_skipped(flat):
    whole = (flat / "cat" / "3.png").read_bytes()
    (flat / "cat" / "3.png").write_bytes(whole[: len(whole) - 25])
    (flat / "dog" / "7.png").write_bytes(b"no image at all")
    with pytest.raises(CorruptImageError, match=r"(?s)2 in all.*on_corrupt='skip'") as caught:
        load(flat)
    for name in ("3.png", "7.png"):
        assert str(flat) in str(caught.value) and name in str(caught.value)
    with pytest.warns(UserWarning, match=r"2 image\(s\).*skipped.*\d\.png.*\d\.png"):
        data = load(flat, on_corrupt="skip", validation=0)
    assert len(data.train[1]) + len(data.test[1]) == 18
    with pytest.raises(ValueError, match="on_corrupt must be"):
        load(flat, on_corrupt="ignore")


def test_a_class_whose_images_are_all_corrupt_is_refused_even_when_skipping(flat):
    for path in (flat / "cat").iterdir():
        path.write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"no image of this class can be read.*cat"):
            load(flat, on_corrupt="skip")


def test_an_empty_class_folder_is_named(flat):
    (flat / "bird").mkdir()
    (flat / "bird" / "notes.txt").write_text("soon")
    with pytest.raises(ValueError, match=r"holds no image.*bird"):
        load(flat)


def test_a_folder_without_class_folders_is_refused(tmp_path):
    draw(tmp_path / "1.png")
    with pytest.raises(ValueError, match="one sub-folder per class, and this has none"):
        load(tmp_path)


def test_parts_that_do_not_fit_are_refused(tmp_path):
    for part, label in (("train", "a"), ("train", "b"), ("test", "c")):
        draw(tmp_path / "other" / part / label / "1.png")
    with pytest.raises(ValueError, match=r"no class of this name.*c"):
        load(tmp_path / "other")
    draw(tmp_path / "headless" / "val" / "a" / "1.png")
    with pytest.raises(ValueError, match="val but no train"):
        load(tmp_path / "headless")
