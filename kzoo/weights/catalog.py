"""What other libraries publish for our models: where it is, how it is checked, what images it wants, what it reached.

The table, `published.json`, is read out of those libraries by `benchmarks/published.py`; nobody types it.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from kzoo.engine import unknown

HERE = Path(__file__).parent
# Language models whose Transformers checkpoints the Hugging Face Hub has, as `model.safetensors`.
HUB = {
    "gpt2": "openai-community/gpt2",
    "gpt2_medium": "openai-community/gpt2-medium",
    "gpt2_large": "openai-community/gpt2-large",
    "gpt2_xl": "openai-community/gpt2-xl",
    "bert_base": "google-bert/bert-base-uncased",
    "bert_large": "google-bert/bert-large-uncased",
    "minilm_l6": "sentence-transformers/all-MiniLM-L6-v2",
    "minilm_l12": "sentence-transformers/all-MiniLM-L12-v2",
}


@dataclass(frozen=True)
class Published:
    """A published set of weights.

    Attributes:
        model: our name.
        source: `"torchvision"`, `"timm"` or `"keras"`.
        tag: the set's name there.
        url: of the file.
        digest: `"sha256:…"` (its beginning suffices) or `"md5:…"`; `None` where the server tells it, as the Hugging
            Face Hub does of timm's files and Google's storage of Keras's.
        licence: as its publisher states it, or `None`.
        top1: accuracy on ImageNet's validation set in percent, as its publisher states it, or `None`.
        num_classes: of the head.
        image_size: height and width.
        resize: what the shorter side of a picture is brought to before the image is cut out of its middle; `None` where
            the whole picture is resized.
        interpolation: of resizing.
        mean, std: per channel, for pixels between 0 and 1.
        bgr: whether the network was trained on blue, green, red; the converted one takes red, green, blue.
        builder: of `keras.applications`: the name of the model there, `"MobileNet"` or `"MobileNet(alpha=0.5)"`.
    """

    model: str
    source: str
    tag: str
    url: str
    digest: str | None = None
    licence: str | None = None
    top1: float | None = None
    num_classes: int = 1000
    image_size: int = 224
    resize: int | None = None
    interpolation: str = "bilinear"
    mean: tuple = (0.485, 0.456, 0.406)
    std: tuple = (0.229, 0.224, 0.225)
    bgr: bool = False
    builder: str | None = None

    @property
    def key(self):
        """As `create_model(pretrained=…)` takes it."""
        return f"{self.source}:{self.tag}"

    @property
    def preprocessing(self):
        """The `kzoo.data.Preprocessing` that these weights want."""
        from kzoo.data import Preprocessing

        shape = (self.image_size, self.image_size, 3)
        return Preprocessing(shape, tuple(self.mean), tuple(self.std), self.interpolation, self.resize)

    @property
    def labels(self):
        """The names of the classes, or `None` where they are not ImageNet's 1,000."""
        return imagenet_labels() if self.num_classes == 1000 else None


@functools.cache
def _table():
    rows = json.loads((HERE / "published.json").read_text())
    found = {}
    for row in rows:
        found.setdefault(row["model"], []).append(Published(**row))
    return found


def names_with_weights():
    """Our models that have published weights."""
    return frozenset(_table()) | frozenset(HUB)


def published(model):
    """The published weights of a model, a list of `Published`; empty if there are none.

    Raises:
        ValueError: if there is no such model.
    """
    from kzoo.models.catalog import family_of

    family_of(model)
    return list(_table().get(model, ()))


def find(model, wanted=True):
    """The published weights that `pretrained=wanted` means.

    Raises:
        ValueError: if there are none. The message lists what there is.
    """
    rows = published(model)
    keys = [row.key for row in rows]
    for row in rows:
        if wanted is True or wanted in (row.source, row.key):
            return row
    if not rows:
        raise ValueError(
            f"there are no published weights of {model}: give a checkpoint, as in pretrained='timm:path/to/file'. "
            f"Received: pretrained={wanted!r}"
        )
    raise unknown(f"published weights of {model}", wanted, keys)


@functools.cache
def imagenet_labels():
    """The names of ImageNet's 1,000 classes, in the usual order."""
    return tuple((HERE / "imagenet_labels.txt").read_text().splitlines())
