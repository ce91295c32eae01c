"""Augmentation policies on batches of uint8 images: each a function of a NumPy generator and a batch, as in `augment`.

`auto_augment` and `cutout` are here because Keras has neither. Keras has `RandAugment`, `AugMix`, `RandomErasing`,
`MixUp` and `CutMix` as layers: `keras_layers` puts those of images alone into the path of the data, and
`kzoo.data.mixing.MixedBatches` those that mix labels too.
"""

import numpy as np

from kzoo.engine import require

# Tables 7 to 9 of arXiv:1805.09501: 25 pairs of (operation, probability, magnitude from 0 to 10).
POLICIES = {
    "cifar10": """
        invert .1 7, contrast .2 6; rotate .7 2, translate_x .3 9; sharpness .8 1, sharpness .9 3;
        shear_y .5 8, translate_y .7 9; auto_contrast .5 8, equalize .9 2; shear_y .2 7, posterize .3 7;
        color .4 3, brightness .6 7; sharpness .3 9, brightness .7 9; equalize .6 5, equalize .5 1;
        contrast .6 7, sharpness .6 5; color .7 7, translate_x .5 8; equalize .3 7, auto_contrast .4 8;
        translate_y .4 3, sharpness .2 6; brightness .9 6, color .2 8; solarize .5 2, invert .0 3;
        equalize .2 0, auto_contrast .6 0; equalize .2 8, equalize .6 4; color .9 9, equalize .6 6;
        auto_contrast .8 4, solarize .2 8; brightness .1 3, color .7 0; solarize .4 5, auto_contrast .9 3;
        translate_y .9 9, translate_y .7 9; auto_contrast .9 2, solarize .8 3; equalize .8 8, invert .1 3;
        translate_y .7 9, auto_contrast .9 1""",
    "svhn": """
        shear_x .9 4, invert .2 3; shear_y .9 8, invert .7 5; equalize .6 5, solarize .6 6;
        invert .9 3, equalize .6 3; equalize .6 1, rotate .9 3; shear_x .9 4, auto_contrast .8 3;
        shear_y .9 8, invert .4 5; shear_y .9 5, solarize .2 6; invert .9 6, auto_contrast .8 1;
        equalize .6 3, rotate .9 3; shear_x .9 4, solarize .3 3; shear_y .8 8, invert .7 4;
        equalize .9 5, translate_y .6 6; invert .9 4, equalize .6 7; contrast .3 3, rotate .8 4;
        invert .8 5, translate_y .0 2; shear_y .7 6, solarize .4 8; invert .6 4, rotate .8 4;
        shear_y .3 7, translate_x .9 3; shear_x .1 6, invert .6 5; solarize .7 2, translate_y .6 7;
        shear_y .8 4, invert .8 8; shear_x .7 9, translate_y .8 3; shear_y .8 5, auto_contrast .7 3;
        shear_x .7 2, invert .1 5""",
    "imagenet": """
        posterize .4 8, rotate .6 9; solarize .6 5, auto_contrast .6 5; equalize .8 8, equalize .6 3;
        posterize .6 7, posterize .6 6; equalize .4 7, solarize .2 4; equalize .4 4, rotate .8 8;
        solarize .6 3, equalize .6 7; posterize .8 5, equalize 1. 2; rotate .2 3, solarize .6 8;
        equalize .6 8, posterize .4 6; rotate .8 8, color .4 0; rotate .4 9, equalize .6 2;
        equalize .0 7, equalize .8 8; invert .6 4, equalize 1. 8; color .6 4, contrast 1. 8;
        rotate .8 8, color 1. 2; color .8 8, solarize .8 7; sharpness .4 7, invert .6 8;
        shear_x .6 5, equalize 1. 9; color .4 0, equalize .6 3; equalize .4 7, solarize .2 4;
        solarize .6 5, auto_contrast .6 5; invert .6 4, equalize 1. 8; color .6 4, contrast 1. 8;
        equalize .8 8, equalize .6 3""",
}


def _parsed(table):
    """`[[(operation, probability, magnitude), …], …]`."""
    pairs = ([step.split() for step in pair.split(",")] for pair in table.split(";"))
    return [[(name, float(p), int(magnitude)) for name, p, magnitude in pair] for pair in pairs]


SIGNED = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def operate(image, name, magnitude, fill=128):
    """One operation on a Pillow image of grey or RGB.

    Args:
        image: a Pillow image.
        name: an operation of table 6 of arXiv:1805.09501, in small letters.
        magnitude: from 0 to 10, as in the tables, onto the ranges of table 6; negative for the other direction of
            those that have one. Translations are shares of the side, 150 of 331 pixels at 10.
        fill: grey level of what comes in from outside.
    """
    enhance, chops, ops = (require(f"PIL.Image{part}", "recipes") for part in ("Enhance", "Chops", "Ops"))
    strength = magnitude / 10
    fill = fill if image.mode == "L" else (fill,) * 3
    w, h = image.size
    if name in ("shear_x", "shear_y", "translate_x", "translate_y"):
        shear, shift = 0.3 * strength, 150 / 331 * strength
        matrix = {
            "shear_x": (1, shear, 0, 0, 1, 0),
            "shear_y": (1, 0, 0, shear, 1, 0),
            "translate_x": (1, 0, round(shift * w), 0, 1, 0),
            "translate_y": (1, 0, 0, 0, 1, round(shift * h)),
        }[name]
        affine = require("PIL.Image", "recipes").Transform.AFFINE
        return image.transform(image.size, affine, matrix, fillcolor=fill)
    if name == "rotate":
        return image.rotate(30 * strength, fillcolor=fill)
    if name in ("color", "contrast", "brightness", "sharpness"):
        return getattr(enhance, name.capitalize())(image).enhance(0.1 + 1.8 * strength)
    if name == "posterize":
        return ops.posterize(image, 8 - round(4 * strength))
    if name == "solarize":
        return ops.solarize(image, 256 - round(256 * strength))
    return {"invert": chops.invert, "auto_contrast": ops.autocontrast, "equalize": ops.equalize}[name](image)


def auto_augment(policy="cifar10", fill=128):
    """AutoAugment: to each image one of 25 pairs of operations that were found by search for that data set.

    Cubuk et al. (2019), AutoAugment: Learning Augmentation Policies from Data, arXiv:1805.09501. Each operation of the
    pair is applied with its probability and magnitude; shears, translations and rotations go either way. The paper
    puts it after flips and crops and before `cutout(16)`: `chain(shift_flip(4), auto_augment(), cutout(16))`.

    Args:
        policy: `"cifar10"` (also good on CIFAR-100), `"svhn"` or `"imagenet"`.
        fill: grey level of what comes in from outside.

    Returns:
        A function of `(generator, images)`, with uint8 images `(b, h, w, 1 or 3)`, that returns new images.

    Raises:
        ValueError: if there is no such policy; by the function, if images are not uint8 of one or three channels.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}. Received: policy={policy!r}")
    pairs = _parsed(POLICIES[policy])
    pil = require("PIL.Image", "recipes")

    def augment(generator, images):
        _check_images(images)
        out = np.empty_like(images)
        for i, pixels in enumerate(images):
            image = pil.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
            for name, probability, magnitude in pairs[generator.integers(len(pairs))]:
                # Drawn whether needed or not, so that one image's fate does not move another's.
                applied, sign = generator.random() < probability, 1 - 2 * int(generator.integers(2))
                if applied:
                    image = operate(image, name, magnitude * (sign if name in SIGNED else 1), fill)
            out[i] = np.asarray(image).reshape(pixels.shape)
        return out

    return augment


def cutout(size=16, fill=0):
    """Cutout: a square of each image is filled, around a place drawn anywhere, so that it may lie partly outside.

    DeVries and Taylor (2017), Improved Regularization of Convolutional Neural Networks with Cutout, arXiv:1708.04552:
    16 for CIFAR-10, 8 for CIFAR-100, 20 for SVHN.

    Args:
        size: the square's side, in pixels.
        fill: the value to fill with; in the paper that which is zero after normalisation.

    Returns:
        A function of `(generator, images)`, with images `(b, h, w, c)`, that returns new images.
    """
    if size != int(size) or size < 1:
        raise ValueError(f"size must be a whole number of pixels, at least 1. Received: size={size!r}")
    size = int(size)

    def augment(generator, images):
        b, h, w, _ = images.shape
        out = images.copy()
        tops = generator.integers(0, h, b) - size // 2
        lefts = generator.integers(0, w, b) - size // 2
        for image, top, left in zip(out, tops.tolist(), lefts.tolist()):
            image[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = fill
        return out

    return augment


def chain(*augmentations):
    """One augmentation after the other, with one generator: `chain(shift_flip(4), auto_augment(), cutout(16))`."""

    def augment(generator, images):
        for each in augmentations:
            images = each(generator, images)
        return images

    return augment


def reseed(layers, generator):
    """Gives each random layer, and those inside it, a seed drawn from a NumPy generator."""
    for layer in layers:
        inner = [value for value in vars(layer).values() if hasattr(value, "transform_images")]
        if hasattr(layer, "generator"):
            layer.generator.state.assign([int(generator.integers(2**31)), 0])
        reseed(inner, generator)


def keras_layers(*layers):
    """Keras's augmentation layers of images (`RandAugment`, `RandomErasing`, …) as an augmentation here.

    They are seeded anew for each batch from the generator, so that a resumed run sees the same batches. Unlike those of
    this module they draw from the engine's generators: the same seed gives other pictures on another engine. Give
    them `value_range=(0, 255)`. `RandAugment` and `AugMix` make one choice for the whole batch.

    Returns:
        A function of `(generator, images)`, with uint8 images `(b, h, w, c)`, that returns new uint8 images.
    """
    for layer in layers:
        if not hasattr(layer, "transform_images") or type(layer).__name__ in ("MixUp", "CutMix"):
            raise ValueError(
                "keras_layers takes Keras's augmentation layers that leave labels alone; for MixUp and CutMix there "
                f"is kzoo.data.mixing.MixedBatches. Received: {layer!r}"
            )

    def augment(generator, images):
        import keras

        reseed(layers, generator)
        x = images.astype("float32")
        for layer in layers:
            x = layer(x, training=True)
        x = keras.ops.convert_to_numpy(x)
        return np.clip(np.rint(x), 0, 255).astype(images.dtype)

    return augment


def _check_images(images):
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "auto_augment needs uint8 images of shape (b, h, w, 1 or 3): put it before preprocessing. "
            f"Received: dtype={images.dtype}, shape={images.shape}"
        )
