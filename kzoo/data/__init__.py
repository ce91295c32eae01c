"""Image data: sets by name or folder, batches that are the same on every engine, and preprocessing.

data = kzoo.data.load("fashion_mnist", validation=5000)
prepare = kzoo.data.Preprocessing.fit(data.train[0])
batches = kzoo.data.Batches(*data.train, batch_size=128, preprocess=prepare, num_classes=data.num_classes)
"""

import importlib

from kzoo.data import augment, policies
from kzoo.data.images import list_data, load
from kzoo.data.names import load_names, split_names
from kzoo.data.parts import ImageData
from kzoo.data.preprocessing import CorruptImageError, Preprocessing

__all__ = [
    "Batches",
    "CorruptImageError",
    "FileBatches",
    "ImageData",
    "MixedBatches",
    "Preprocessing",
    "augment",
    "list_data",
    "load",
    "load_names",
    "policies",
    "split_names",
]


_ON_KERAS = {
    "Batches": "kzoo.data.batches",
    "FileBatches": "kzoo.data.files",
    "MixedBatches": "kzoo.data.mixing",
}


def __getattr__(name):
    """What stands on Keras, which the other names do without, is imported when it is asked for."""
    if name not in _ON_KERAS:
        raise AttributeError(f"module 'kzoo.data' has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(_ON_KERAS[name]), name)
    return globals()[name]
