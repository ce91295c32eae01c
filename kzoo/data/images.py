"""`load`: any image data set, by name or from a folder, in the same shape."""

import os
from dataclasses import replace
from pathlib import Path

from kzoo.data.folder import load_folder
from kzoo.data.parts import split
from kzoo.data.published import TABLE


def load(name_or_folder, *, validation=0.1, seed=0, on_corrupt="error", image_size=None, test=0.2):
    """Loads an image data set by name, or a folder that has one sub-folder of images per class.

    Args:
        name_or_folder: a name that `list_data` gives, or the path of a folder.
        validation: share (below 1) or number of training images to hold out for validation, the same in each
            class and decided by `seed` alone; 0 for none. A folder's own validation part is used as it is.
        seed: decides which images are held out.
        on_corrupt: `"error"` or `"skip"`: what to do with images of a folder that cannot be read.
        image_size: `(height, width)` that a folder's images are resized to. By default the most common size
            among them (of equally common ones, the first met in the order of the file names).
        test: share or number of images to hold out for the test, for a folder without a test part.

    Raises:
        ValueError: if the name is unknown, a folder is not laid out so, or a file is not as published.
        ConnectionError: if a file is missing here and cannot be downloaded.
    """
    if on_corrupt not in ("error", "skip"):
        raise ValueError(f"on_corrupt must be 'error' or 'skip'. Received: on_corrupt={on_corrupt!r}")
    name = os.fspath(name_or_folder)
    if name in TABLE:
        if image_size is not None:
            raise ValueError(
                f"image_size is for folders; {name} has its own. Received: image_size={image_size!r}"
            )
        data = TABLE[name]["load"]()
    elif Path(name).is_dir():
        data = load_folder(name, image_size=image_size, test=test, seed=seed, on_corrupt=on_corrupt)
    elif os.sep in name or name.startswith(".") or Path(name).exists():
        raise ValueError(
            f"the data must be the name of a data set or a folder. Received: {name!r}, which is neither"
        )
    else:
        raise ValueError(
            f"unknown data set: it must be one of {', '.join(TABLE)}, or a folder. Received: {name!r}"
        )
    if data.validation is None and validation:
        kept, held = split(data.train[1], validation, seed)
        parts = [(data.train[0][chosen], data.train[1][chosen]) for chosen in (kept, held)]
        data = replace(data, train=parts[0], validation=parts[1])
    return data


def list_data():
    """The names of the data sets with one line on each."""
    return {name: entry["line"] for name, entry in TABLE.items()}
