"""Image data: sets by name or folder, batches that are the same on every engine, and preprocessing.

data = kzoo.data.load("fashion_mnist", validation=5000)
prepare = kzoo.data.Preprocessing.fit(data.train[0])
batches = kzoo.data.Batches(*data.train, batch_size=128, preprocess=prepare, num_classes=data.num_classes)
"""

from kzoo.data import augment
from kzoo.data.images import list_data, load
from kzoo.data.names import load_names, split_names
from kzoo.data.parts import ImageData
from kzoo.data.preprocessing import CorruptImageError, Preprocessing

__all__ = [
    "Batches",
    "CorruptImageError",
    "ImageData",
    "Preprocessing",
    "augment",
    "list_data",
    "load",
    "load_names",
    "split_names",
]


def __getattr__(name):
    """`Batches` stands on Keras, which the other names do without: it is imported when it is asked for."""
    if name != "Batches":
        raise AttributeError(f"module 'kzoo.data' has no attribute {name!r}")
    from kzoo.data.batches import Batches

    globals()["Batches"] = Batches
    return Batches
