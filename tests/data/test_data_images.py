"""Data sets by name, and how parts are held out."""

import os
from dataclasses import replace

import numpy as np
import pytest

from kzoo.data import list_data, load, parts

pytestmark = pytest.mark.once

DATA = os.environ.get("KZOO_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA, reason="KZOO_DATA_DIR names no data folder")


def test_digits_split_is_fixed_stratified_and_exactly_reversible():
    datasets = pytest.importorskip("sklearn.datasets")
    data = load("digits", validation=0)
    assert len(data.train[1]) + len(data.test[1]) == 1797 and len(data.test[1]) == 359
    assert data.image_shape == (8, 8, 1) and data.labels == tuple("0123456789")
    assert data.train[0].dtype == np.uint8 and data.train[1].dtype == np.int64
    counts = np.bincount(data.test[1])
    np.testing.assert_allclose(counts / np.bincount(data.train[1]), 0.25, atol=0.02)
    original = datasets.load_digits()
    kept, held = parts.split(original.target, 0.2, 0)
    back = np.rint(data.test[0][..., 0] * (16 / 255))
    np.testing.assert_array_equal(back, original.images[held])
    assert not set(kept) & set(held)
    np.testing.assert_array_equal(load("digits", seed=5).test[0], data.test[0])  # the test part has no seed


def test_validation_comes_from_training_by_seed_and_leaves_the_test_part_alone():
    pytest.importorskip("sklearn")
    whole, data, again, other = (
        load("digits", validation=v, seed=s) for v, s in ((0, 0), (0.1, 0), (0.1, 0), (0.1, 1))
    )
    assert len(data.validation[1]) == 144 == len(whole.train[1]) - len(data.train[1])
    np.testing.assert_array_equal(data.validation[0], again.validation[0])
    assert not np.array_equal(data.validation[0], other.validation[0])
    np.testing.assert_array_equal(data.test[0], whole.test[0])
    assert len(load("digits", validation=200).validation[1]) == 200


@pytest.mark.parametrize("held_out", [0.1, 0.5, 7, 1])
def test_split_holds_out_exactly_as_many_in_proportion(held_out):
    y = np.repeat([0, 1, 2], [50, 30, 20])
    kept, held = parts.split(y, held_out, 3)
    count = round(held_out * 100) if isinstance(held_out, float) else held_out
    assert len(held) == count and sorted([*kept, *held]) == list(range(100))
    np.testing.assert_allclose(np.bincount(y[held], minlength=3), np.array([0.5, 0.3, 0.2]) * count, atol=1)


@pytest.mark.parametrize("held_out", [0, 100, -1, 1.5])
def test_split_refuses_to_leave_a_side_empty(held_out):
    with pytest.raises(ValueError, match="Received: "):
        parts.split(np.zeros(100), held_out, 0)


def test_a_class_keeps_its_only_example_while_another_can_give_one():
    y = np.array([0] * 7 + [1] + [2])
    kept, held = parts.split(y, 0.01, 0)
    assert len(held) == 1 and set(y[kept]) == {0, 1, 2}
    assert set(y[parts.split(y, 0.4, 0)[0]]) == {0, 1, 2}


def test_take_keeps_every_class():
    pytest.importorskip("sklearn")
    data = load("digits").take(50)
    assert [len(part[1]) for part in (data.train, data.validation, data.test)] == [50, 50, 50]
    assert len(np.unique(data.train[1])) == 10 and load("digits").take(None).train[0].shape[0] == 1294


def test_a_class_may_have_few_images():
    pytest.importorskip("sklearn")
    data = load("digits").balanced(3, seed=[1, 2])
    assert np.bincount(data.train[1]).tolist() == [3] * 10
    again = load("digits").balanced(3, seed=[1, 2])
    np.testing.assert_array_equal(data.train[0], again.train[0])


def test_some_classes_are_numbered_anew():
    pytest.importorskip("sklearn")
    data = load("digits")
    some = data.only(["7", 2])
    assert some.labels == ("7", "2")
    for ours, theirs in (
        (some.train, data.train),
        (some.validation, data.validation),
        (some.test, data.test),
    ):
        kept = np.isin(theirs[1], (7, 2))
        np.testing.assert_array_equal(ours[0], theirs[0][kept])
        np.testing.assert_array_equal(ours[1], np.where(theirs[1][kept] == 7, 0, 1))
    assert data.only("7, 2").labels == some.labels and data.only("") is data
    assert some.only("2").labels == ("2",) and some.only("0").labels == ("7",)
    np.testing.assert_array_equal(replace(some, labels=("b", "0")).only("0").test[0], some.only("2").test[0])
    with pytest.raises(ValueError, match=r"the classes are 0 0, 1 1.*Received: 'x'"):
        data.only("3,x")
    with pytest.raises(ValueError, match="once"):
        data.only("3,3")


def test_every_data_set_has_its_line():
    lines = list_data()
    assert next(iter(lines)) == "digits" and set(lines) >= {
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar10_jpeg",
        "cifar100",
    }
    assert all(line and "\n" not in line for line in lines.values())


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"digits, mnist, fashion_mnist, .*Received: 'fashon'"):
        load("fashon")


def test_a_path_that_is_no_folder_is_told_from_an_unknown_name(tmp_path):
    with pytest.raises(ValueError, match=r"a folder. Received: .*which is neither"):
        load(tmp_path / "nothing")


@needs_data
@pytest.mark.parametrize(
    ("name", "sizes", "mean"),
    [("mnist", (60000, 10000), 0.1307), ("fashion_mnist", (60000, 10000), 0.2860)],
)
def test_the_data_folder_holds_the_published_sets(name, sizes, mean):
    data = load(name, validation=0)
    assert (len(data.train[1]), len(data.test[1])) == sizes and data.image_shape == (28, 28, 1)
    assert abs(data.train[0].mean() / 255 - mean) < 1e-4  # the published mean
    assert data.train[1].min() == 0 and data.train[1].max() == 9


@needs_data
def test_the_jpeg_copy_of_cifar10_follows_the_original_order():
    lzma = pytest.importorskip("lzma")
    data = load("cifar10_jpeg", validation=0)
    assert data.train[0].shape == (50000, 32, 32, 3) and data.test[0].shape == (10000, 32, 32, 3)
    assert np.bincount(data.test[1]).tolist() == [1000] * 10 and len(set(data.test[1][:100])) == 10
    with lzma.open(os.path.join(DATA, "cifar10", "x_train_2000.npy.xz")) as stream:
        exact = np.load(stream)
    np.testing.assert_array_equal(
        data.train[1][:2000], np.load(os.path.join(DATA, "cifar10", "y_train_2000.npy")).ravel()
    )
    error = np.mean((data.train[0][:2000].astype("float32") - exact) ** 2, axis=(1, 2, 3))
    assert 28 < np.mean(10 * np.log10(255**2 / error)) < 33  # PSNR 30.5 dB, as the data folder says
