"""Augmentation policies: the published tables, operations by Pillow and by hand, and Keras's layers by seed."""

import keras
import numpy as np
import pytest
from PIL import Image

from kzoo.data import policies
from kzoo.data.mixing import MixedBatches


def _images(b=6, h=12, w=10, c=3):
    return np.random.default_rng(0).integers(0, 256, (b, h, w, c), dtype="uint8")


@pytest.mark.once
@pytest.mark.parametrize("policy", policies.POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_auto_augment_has_25_pairs_of_known_operations_and_follows_its_generator(policy, channels):
    pairs = policies._parsed(policies.POLICIES[policy])
    assert len(pairs) == 25 and all(len(pair) == 2 for pair in pairs)
    augment, images = policies.auto_augment(policy), _images(40, c=channels)
    kept = images.copy()
    first = augment(np.random.default_rng(3), images)
    np.testing.assert_array_equal(images, kept)
    np.testing.assert_array_equal(first, augment(np.random.default_rng(3), images))
    assert first.dtype == np.uint8 and not np.array_equal(first, augment(np.random.default_rng(4), images))
    for pair in pairs:
        for name, probability, magnitude in pair:
            assert 0 <= probability <= 1 and 0 <= magnitude <= 9
            policies.operate(Image.fromarray(images[0].squeeze()), name, magnitude)


@pytest.mark.once
def test_each_image_gets_each_pair_with_equal_chance_and_each_operation_with_its_own():
    # One pixel pattern whose colour changes tell what was done: invert is the only operation, at one half.
    table = policies.POLICIES["cifar10"]
    try:
        policies.POLICIES["cifar10"] = "invert .25 1, invert 0. 1; equalize 0. 1, equalize 0. 1"
        augment = policies.auto_augment()
    finally:
        policies.POLICIES["cifar10"] = table
    outputs = augment(np.random.default_rng(0), np.full((8000, 2, 2, 1), 10, "uint8"))
    inverted = (outputs == 245).all((1, 2, 3))
    assert (inverted | (outputs == 10).all((1, 2, 3))).all()
    assert abs(inverted.mean() - 0.125) < 5 * np.sqrt(0.125 * 0.875 / 8000)


@pytest.mark.once
def test_operations_are_what_table_6_says():
    image = _images(1)[0]
    h, w, _ = image.shape

    def done(name, magnitude):
        return np.asarray(policies.operate(Image.fromarray(image), name, magnitude)).astype(int)

    pixels = image.astype(int)
    np.testing.assert_array_equal(done("invert", 0), 255 - pixels)
    np.testing.assert_array_equal(done("solarize", 5), np.where(pixels < 128, pixels, 255 - pixels))
    np.testing.assert_array_equal(done("solarize", 0), pixels)
    np.testing.assert_array_equal(done("posterize", 10), pixels & 0b11110000)
    np.testing.assert_array_equal(done("posterize", 0), pixels)
    np.testing.assert_allclose(done("brightness", 9), np.clip(pixels * 1.72, 0, 255), atol=1)
    np.testing.assert_array_equal(done("brightness", 5), pixels)
    k = round(150 / 331 * 0.5 * w)
    shifted = done("translate_x", 5)
    np.testing.assert_array_equal(shifted[:, : w - k], pixels[:, k:])
    np.testing.assert_array_equal(shifted[:, w - k :], 128)
    k = round(150 / 331 * 0.5 * h)
    np.testing.assert_array_equal(done("translate_y", -5)[k:], pixels[: h - k])
    np.testing.assert_array_equal(done("rotate", 0), pixels)
    np.testing.assert_array_equal(done("shear_x", 0), pixels)
    low, high = pixels.min((0, 1)), pixels.max((0, 1))
    np.testing.assert_allclose(done("auto_contrast", 0), (pixels - low) * 255 / (high - low), atol=1)


@pytest.mark.once
def test_cutout_fills_a_square_that_may_lie_partly_outside():
    images = np.full((3000, 8, 6, 2), 9, "uint8")
    outputs = policies.cutout(4, fill=1)(np.random.default_rng(0), images)
    assert (images == 9).all() and set(np.unique(outputs)) == {1, 9}
    filled = (outputs == 1).all(-1)
    rows, columns = filled.any(2).sum(1), filled.any(1).sum(1)
    np.testing.assert_array_equal(filled.sum((1, 2)), rows * columns)  # rectangles
    assert set(rows) == {2, 3, 4} and set(columns) == {2, 3, 4}
    # Of 8 rows, those of the centre that leave the square whole: 2 to 6.
    assert abs((rows == 4).mean() - 5 / 8) < 5 * 0.5 / np.sqrt(3000)


@pytest.mark.once
def test_wrong_arguments_say_what_to_do():
    with pytest.raises(ValueError, match="policy='mnist'"):
        policies.auto_augment("mnist")
    with pytest.raises(ValueError, match="before preprocessing"):
        policies.auto_augment()(np.random.default_rng(0), _images().astype("float32"))
    with pytest.raises(ValueError, match="size=0"):
        policies.cutout(0)
    with pytest.raises(ValueError, match="MixedBatches"):
        policies.keras_layers(keras.layers.MixUp())
    with pytest.raises(ValueError, match="one class per example"):
        MixedBatches(_images(), np.zeros((6, 2)), 2, layers=[], num_classes=2)


def test_keras_layers_give_the_same_images_for_the_same_generator():
    layers = keras.layers.RandomErasing(factor=1.0, value_range=(0, 255)), keras.layers.RandomFlip()
    augment = policies.chain(policies.cutout(2), policies.keras_layers(*layers))
    images = _images(4, 8, 8)
    runs = [augment(np.random.default_rng(seed), images) for seed in (1, 2, 1)]
    np.testing.assert_array_equal(runs[0], runs[2])
    assert runs[0].dtype == np.uint8 and not np.array_equal(runs[0], runs[1])


def test_mixed_batches_mix_images_and_labels_alike_and_repeat_by_epoch_and_index():
    # Constant images of their class's value: a mixed image is its mixed label's mean.
    y = np.arange(8) % 4
    x = np.broadcast_to((10.0 * y)[:, None, None, None], (8, 4, 4, 1)).astype("float32")
    batches = MixedBatches(x, y, 8, layers=[keras.layers.MixUp(1.0)], num_classes=4)
    images, labels = batches.draw(2, 0)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(images.mean((1, 2, 3)), labels @ (10.0 * np.arange(4)), rtol=1e-4, atol=1e-4)
    assert ((labels > 0.01).sum(1) == 2).any()
    for a, b in zip(batches.draw(2, 0), (images, labels)):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(batches.draw(3, 0)[1], labels)
