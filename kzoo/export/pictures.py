"""Encoded pictures: made up, to ask a classifier about while it is proved; and of a data set, to try it on."""

import io
import re

import numpy as np

from kzoo.engine import require


def write_pictures(folder, image_shape, seed=0):
    """Writes pictures of smooth colours and noise.

    Args:
        folder: where the files go; it is made.
        image_shape: `(h, w, c)` of the model's input.
        seed: of the noise.

    Returns:
        A dict from each file to whether it has to be resized for this model.
    """
    Image = require("PIL.Image", "recipes")
    h, w, c = image_shape
    native = "L" if c == 1 else "RGB"
    turned = Image.Exif()
    turned[0x0112] = 6
    pictures = {  # mode, height, width, what the encoder is told
        "plain.png": (native, h, w, {}),
        "colour.png": ("RGB", h, w, {}),
        "grey.jpg": ("L", h, w, {"quality": 90}),
        "colour.jpg": ("RGB", h, w, {"quality": 75}),
        "upright.jpg": ("RGB", w, h, {"quality": 85, "exif": turned}),  # lies on its side
        "large.png": ("RGBA", 2 * h + 3, 3 * w + 1, {}),
        "large.jpg": ("RGB", 3 * h + 5, 2 * w + 7, {"quality": 80, "progressive": True}),
        "small.png": (native, max(1, h // 2), max(1, w // 3), {}),
    }
    folder.mkdir()
    generator, written = np.random.default_rng(seed), {}
    for name, (mode, height, width, options) in pictures.items():
        pixels = _pixels(generator, height, width)
        stream = io.BytesIO()
        kind = "PNG" if name.endswith(".png") else "JPEG"
        Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
        (folder / name).write_bytes(stream.getvalue())
        size = (width, height) if "exif" in options else (height, width)
        written[folder / name] = size != (h, w)
    return written


def write_samples(folder, images, most=12):
    """Writes one test image of each class, as PNG, named after it.

    Args:
        folder: where the files go; it is made.
        images: a `kzoo.data.ImageData`.
        most: how many at most.
    """
    Image = require("PIL.Image", "recipes")
    folder.mkdir(parents=True)
    x, y = images.test
    for label in [label for label in range(images.num_classes) if label in y][:most]:
        pixels = x[int(np.argmax(y == label))]
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", str(images.labels[label]))
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(
            folder / f"{label:02}-{name}.png"
        )


def _pixels(generator, height, width):
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = generator.uniform(1, 9, (3, 2))
    colours = np.stack([np.sin(a * x + b * y + a) for a, b in waves], -1)
    noise = generator.normal(0, 12, colours.shape)
    return np.clip(127 + 100 * colours + noise, 0, 255).astype("uint8")
