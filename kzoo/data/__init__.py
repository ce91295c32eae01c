"""Images and texts: sets by name or folder, batches that are the same on every engine, and preprocessing.

data = kzoo.data.load("fashion_mnist", validation=5000)
prepare = kzoo.data.Preprocessing.fit(data.train[0])
batches = kzoo.data.Batches(*data.train, batch_size=128, preprocess=prepare, num_classes=data.num_classes)

play = kzoo.data.load_text("tinyshakespeare")
letters = kzoo.data.Characters.of(play.train)
batches = kzoo.data.WindowBatches(letters.encode(play.train), length=64, batch_size=12, steps=250)
"""

import importlib

from kzoo.data import augment, policies
from kzoo.data.corpora import Corpus, load_corpus
from kzoo.data.images import list_data, load
from kzoo.data.names import load_names, split_names
from kzoo.data.parts import ImageData
from kzoo.data.preprocessing import CorruptImageError, Preprocessing
from kzoo.data.reading import read_lines, read_text
from kzoo.data.text import TextData, load_labelled
from kzoo.data.text_sets import list_texts, load_text
from kzoo.data.tokens import Characters, Subwords, check_vocabulary, load_tokens

__all__ = [
    "Batches",
    "Characters",
    "Corpus",
    "CorruptImageError",
    "FileBatches",
    "ImageData",
    "MixedBatches",
    "Preprocessing",
    "SequenceBatches",
    "Subwords",
    "TextData",
    "WindowBatches",
    "augment",
    "check_vocabulary",
    "list_data",
    "list_texts",
    "load",
    "load_corpus",
    "load_labelled",
    "load_names",
    "load_text",
    "load_tokens",
    "policies",
    "read_lines",
    "read_text",
    "split_names",
    "text_batches",
]


_ON_KERAS = {
    "Batches": "kzoo.data.batches",
    "FileBatches": "kzoo.data.files",
    "MixedBatches": "kzoo.data.mixing",
    "SequenceBatches": "kzoo.data.sequences",
    "WindowBatches": "kzoo.data.sequences",
    "text_batches": "kzoo.data.sequences",
}


def __getattr__(name):
    """What stands on Keras, which the other names do without, is imported when it is asked for."""
    if name not in _ON_KERAS:
        raise AttributeError(f"module 'kzoo.data' has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(_ON_KERAS[name]), name)
    return globals()[name]
