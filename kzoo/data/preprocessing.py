"""What happens to an image between the file and the model, kept with the model so that it always happens."""

import dataclasses
import math
import warnings
from dataclasses import dataclass

import numpy as np

from kzoo.engine import require

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
_GREY = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N", "I")


class CorruptImageError(ValueError):
    """An image file that cannot be read. The message names it."""


@dataclass(frozen=True)
class Preprocessing:
    """Resizing, cropping, and `(x / 255 - mean) / std` per channel.

    Attributes:
        image_shape: `(h, w, c)`, with one channel for grey images and three for colour.
        mean, std: per channel, for pixels between 0 and 1.
        interpolation: how files of another size are resized, one of nearest, bilinear, bicubic, lanczos.
        resize: what a file's shorter side is brought to before `(h, w)` is cut out of the middle, as networks for
            ImageNet are tested; by default the whole picture is resized to `(h, w)`.
    """

    image_shape: tuple
    mean: tuple = (0.0,)
    std: tuple = (1.0,)
    interpolation: str = "bilinear"
    resize: int | None = None

    def __post_init__(self):
        shape = tuple(int(size) for size in self.image_shape)
        if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
            raise ValueError(f"image_shape must be (h, w, 1) or (h, w, 3). Received: {self.image_shape!r}")
        object.__setattr__(self, "image_shape", shape)
        for name in ("mean", "std"):
            values = tuple(float(value) for value in np.ravel(getattr(self, name)))
            values = values * shape[2] if len(values) == 1 else values
            if (
                len(values) != shape[2]
                or not all(map(math.isfinite, values))
                or (name == "std" and min(values) <= 0)
            ):
                raise ValueError(
                    f"{name} must have one value per channel, above 0 for std. Received: {values}"
                )
            object.__setattr__(self, name, values)
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {', '.join(INTERPOLATIONS)}. Received: {self.interpolation!r}"
            )
        if self.resize is not None and self.resize < max(shape[:2]):
            raise ValueError(
                f"resize must be at least the sides of the image, {shape[:2]}. Received: resize={self.resize}"
            )

    @classmethod
    def fit(cls, images, interpolation="bilinear"):
        """The preprocessing that gives these uint8 images, `(n, h, w, c)`, mean 0 and deviation 1."""
        means, deviations, levels = [], [], np.arange(256) / 255
        for channel in range(images.shape[-1]):
            counts = np.bincount(images[..., channel].ravel(), minlength=256)
            mean = float(np.average(levels, weights=counts))
            means.append(mean)
            deviations.append(math.sqrt(float(np.average((levels - mean) ** 2, weights=counts))) or 1.0)
        return cls(images.shape[1:], tuple(means), tuple(deviations), interpolation)

    def __call__(self, images):
        """float32 images, `(..., h, w, c)`, for uint8 ones."""
        if images.dtype != np.uint8 or images.shape[-3:] != self.image_shape:
            raise ValueError(
                f"images must be uint8 of shape {self.image_shape}. Received: {images.dtype} {images.shape}"
            )
        w, c = self.image_shape[1:]
        scale = np.tile(1 / (255 * np.asarray(self.std)), w).astype("float32")
        offset = np.tile(-np.asarray(self.mean) / np.asarray(self.std), w).astype("float32")
        out = images.astype("float32").reshape(*images.shape[:-2], w * c)  # whole rows: long runs are fast
        out *= scale
        out += offset
        return out.reshape(images.shape)

    def read_image(self, path):
        """The image file as uint8 `(h, w, c)` of `image_shape`, resized and cropped if need be."""
        h, w, c = self.image_shape
        return read_image(path, c, (h, w), self.interpolation, self.resize)

    def of_files(self, paths):
        """Image files as a float32 batch, `(n, h, w, c)`, ready for the model."""
        images = np.empty((len(paths), *self.image_shape), "uint8")
        for i, path in enumerate(paths):
            images[i] = self.read_image(path)
        return self(images)

    def to_dict(self):
        """Plain values, for JSON."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`."""
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or "image_shape" not in values or set(values) - known:
            raise ValueError(
                f"preprocessing must have image_shape, and may have {', '.join(sorted(known))}. "
                f"Received: {values!r}"
            )
        return cls(**values)


def read_image(path, channels=3, size=None, interpolation="bilinear", resize=None):
    """An image file as uint8 `(h, w, channels)`, upright as its EXIF orientation says.

    Transparency is dropped, grey of 16 bits is brought to 8.

    Args:
        path: the file.
        channels: 1 for grey or 3 for colour.
        size: `(height, width)` to resize to; by default the image's own.
        interpolation: how to resize.
        resize: what the shorter side is brought to before `size` is cut out of the middle.

    Raises:
        CorruptImageError: if the file is not a whole image. The message names it.
        FileNotFoundError: if there is no such file.
    """
    image_module, operations = require("PIL.Image", "recipes"), require("PIL.ImageOps", "recipes")

    def decode(image):
        image = operations.exif_transpose(image)
        if image.mode.startswith("I"):
            image = image_module.fromarray((np.asarray(image).clip(0, 65535) // 257).astype("uint8"))
        image = image.convert("L" if channels == 1 else "RGB")
        wanted = image.size if size is None else (size[1], size[0])
        if resize is not None:
            wanted = tuple(resize * side // min(image.size) for side in image.size)
        if image.size != wanted:
            image = image.resize(wanted, image_module.Resampling[interpolation.upper()])
        if resize is not None:
            left, top = (round((there - kept) / 2) for there, kept in zip(image.size, (size[1], size[0])))
            image = image.crop((left, top, left + size[1], top + size[0]))
        return np.asarray(image).reshape(image.height, image.width, channels)

    return _opened(path, decode)


def probe_image(path):
    """`(height, width, channels)` of an image file, without decoding its pixels."""

    def describe(image):
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        width, height = image.size[::-1] if turned else image.size
        return height, width, 1 if image.mode in _GREY else 3

    return _opened(path, describe)


def _opened(path, work):
    image_module = require("PIL.Image", "recipes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image_module.DecompressionBombWarning)
            with image_module.open(path) as image:
                return work(image)
    except (FileNotFoundError, PermissionError, IsADirectoryError, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on broken bytes
        raise CorruptImageError(f"the image {path} cannot be read: {_said(error)}") from error


def _said(error):
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is not an image, or it is cut short"
    return f"{type(error).__name__}: {error}"
