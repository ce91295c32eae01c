"""A folder of images as a data set: one sub-folder per class, its name the label."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from kzoo.data.parts import ImageData, split
from kzoo.data.preprocessing import CorruptImageError, probe_image, read_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
VALIDATION = ("validation", "val", "valid")
SHOWN = 10  # files named in one message


def image_files(folder):
    """The image files in a folder and below, by suffix, in the order of their names; no hidden ones."""
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )  # fmt: skip


def load_folder(folder, *, image_size=None, test=0.2, seed=0, on_corrupt="error"):
    """Loads `folder/<class>/*.png`, or `folder/{train,validation,test}/<class>/*.png`.

    `val` and `valid` serve for `validation`. Without a test part, one is held out from the training part by
    `seed`. Grey images give one channel, unless any is in colour. All are resized to `image_size`, or else to
    the most common size among them (of equally common ones, the first met). The order within a part is drawn
    by `seed`, so that a slice of it mixes the classes.

    Raises:
        ValueError: if there is no class folder, a class is empty or unknown to the training part, or, unless
            they are skipped, files cannot be read.
    """
    folder = Path(folder)
    parts = _parts(folder)
    labels = tuple(path.name for path in _subfolders(parts["train"]))
    listed = {part: _listed(path, labels) for part, path in parts.items()}
    shape, broken = _shape([path for part in listed.values() for path, _ in part], image_size)
    loaded = {part: _read(_mixed(files, seed), shape, broken) for part, files in listed.items()}
    if broken:
        _report(broken, on_corrupt)
    missing = [label for i, label in enumerate(labels) if i not in loaded["train"][1]]
    if missing:
        raise ValueError(f"no image of this class can be read. Received: {parts['train'] / missing[0]}")
    if "test" not in loaded:
        x, y = loaded["train"]
        kept, held = split(y, test, seed)
        loaded["train"], loaded["test"] = (x[kept], y[kept]), (x[held], y[held])
    return ImageData(
        folder.resolve().name, labels, loaded["train"], loaded.get("validation"), loaded["test"],
        str(folder), "as the folder's owner says",
    )  # fmt: skip


def _subfolders(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _parts(folder):
    """The folder of each part. A class may be named `train`: a part is a folder of folders."""
    below = {path.name.lower(): path for path in _subfolders(folder)}
    if not below:
        raise ValueError(
            f"a folder of images must have one sub-folder per class, and this has none. Received: {folder}"
        )
    named = {
        name: path
        for name, path in below.items()
        if name in ("train", "test", *VALIDATION) and _subfolders(path)
    }
    if "train" not in named:
        if named:
            raise ValueError(
                f"the folder has {', '.join(named)} but no train with class folders. Received: {folder}"
            )
        return {"train": folder}
    parts = {"train": named["train"]}
    validation = [named[name] for name in VALIDATION if name in named]
    if len(validation) > 1:
        raise ValueError(f"there must be one validation part. Received: {', '.join(map(str, validation))}")
    if validation:
        parts["validation"] = validation[0]
    if "test" in named:
        parts["test"] = named["test"]
    return parts


def _listed(part, labels):
    """`(path, class index)` of each image of a part."""
    listed = []
    for path in _subfolders(part):
        if path.name not in labels:
            raise ValueError(f"the training part has no class of this name. Received: {path}")
        files = image_files(path)
        if not files:
            raise ValueError(f"the class folder holds no image ({', '.join(SUFFIXES)}). Received: {path}")
        listed += [(file, labels.index(path.name)) for file in files]
    return listed


def _mixed(files, seed):
    return [files[i] for i in np.random.default_rng(seed).permutation(len(files))]


def _shape(paths, image_size):
    """The shape that all images are brought to, and the files whose header cannot be read, and why."""
    sizes, channels, broken = Counter(), 1, {}
    for path in paths:
        try:
            height, width, colours = probe_image(path)
        except CorruptImageError as error:
            broken[path] = error
        else:
            sizes[height, width] += 1
            channels = max(channels, colours)
    if image_size is not None:
        size = (image_size, image_size) if np.ndim(image_size) == 0 else tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"image_size must be (height, width). Received: image_size={image_size!r}")
    else:
        size = sizes.most_common(1)[0][0] if sizes else (1, 1)
    return (*size, channels), broken


def _read(files, shape, broken):
    """The images and labels of a part; files that cannot be read are added to `broken` and left out."""
    x, y, filled = np.empty((len(files), *shape), "uint8"), np.empty(len(files), "int64"), 0
    for path, label in files:
        if path in broken:
            continue
        try:
            x[filled] = read_image(path, channels=shape[2], size=shape[:2])
        except CorruptImageError as error:
            broken[path] = error
            continue
        y[filled] = label
        filled += 1
    return (x, y) if filled == len(x) else (x[:filled].copy(), y[:filled].copy())


def _report(broken, on_corrupt):
    names = ", ".join(map(str, list(broken)[:SHOWN])) + (", …" if len(broken) > SHOWN else "")
    if on_corrupt == "skip":
        warnings.warn(f"{len(broken)} image(s) could not be read and were skipped: {names}", stacklevel=4)
        return
    first = next(iter(broken.values()))
    more = f" {len(broken)} in all: {names}." if len(broken) > 1 else ""
    raise CorruptImageError(
        f"{first}.{more} Remove such files, or skip them with on_corrupt='skip'. Received: {names}"
    )
