"""How good a classifier is on a folder of images: top-1 and top-5 accuracy, and images a second."""

import csv
import time
from pathlib import Path

import numpy as np

from kzoo.data.folder import image_files
from kzoo.data.preprocessing import Preprocessing
from kzoo.machine import machine as this_machine

COLUMNS = (
    "model",
    "weights",
    "engine",
    "images",
    "top1",
    "top5",
    "images_per_second",
    "image_size",
    "machine",
)


def validate(model, folder, *, pretrained=True, batch_size=32, workers=None, progress=True):
    """Measures a classifier on `folder/<class>/*`.

    Sub-folders are classes: by name if the model's labels are so called, else in the order of their names, as
    ImageNet's are, and then there must be as many as the model has.

    Args:
        model: a name from `kzoo.list_models(pretrained=True)`, or a run folder, `.keras` file or exported artefact
            with its card.
        folder: of class folders.
        pretrained: which weights, as `kzoo.create_model` takes it; not used for a path.
        batch_size: images at once.
        workers: threads that read files.
        progress: whether to show how far it is.

    Returns:
        A dict of `COLUMNS`; accuracies between 0 and 1. The time is that of reading and computing together, without
        the first batch, which compiles.

    Raises:
        ValueError: if the folder's classes are not the model's.
    """
    from kzoo.data.files import FileBatches

    score, prepare, labels, name, weights, classes = _opened(model, pretrained)
    paths, y = _listed(Path(folder), labels, classes)
    batches = FileBatches(paths, y, batch_size, preprocess=prepare, workers=workers, shuffle=False)
    right, right5, seconds, counted = 0, 0, 0.0, 0
    for i in _counted(range(len(batches)), progress, name):
        began = time.perf_counter()
        x, wanted = batches[i]
        scores = score(x)
        best = np.argsort(-scores, axis=-1, kind="stable")[:, :5]
        right += int((best[:, 0] == wanted).sum())
        right5 += int((best == wanted[:, None]).any(1).sum())
        if i:
            seconds += time.perf_counter() - began
            counted += len(x)
    import keras

    return {
        "model": name,
        "weights": weights,
        "engine": keras.config.backend(),
        "images": len(paths),
        "top1": right / len(paths),
        "top5": right5 / len(paths),
        "images_per_second": counted / seconds if counted else None,
        "image_size": f"{prepare.image_shape[0]}x{prepare.image_shape[1]}",
        "machine": this_machine(),
    }


def _opened(model, pretrained):
    """The function from a batch to scores, preprocessing, labels, name, weights and number of classes."""
    from kzoo.models import catalog

    if not Path(model).exists() and model in catalog.list_models():
        from kzoo.accelerate import accelerate
        from kzoo.weights.catalog import find

        entry = find(model, pretrained)
        network = catalog.create_model(model, pretrained=entry.key)
        accelerate(network)
        network.compile()

        def score(x):
            return np.asarray(network.predict_on_batch(x), "float32")

        return score, entry.preprocessing, entry.labels, model, entry.key, entry.num_classes
    from kzoo.export.runners import open_artefact
    from kzoo.predict import read_card

    if not Path(model).exists():
        from kzoo.engine import unknown

        raise unknown("model or file", model, catalog.list_models(pretrained=True))
    card, runner = read_card(model), open_artefact(model)
    (given,) = runner.inputs

    def score(x):
        (scores,) = runner.run({given.name: x}).values()
        return scores

    prepare = Preprocessing.from_dict(card["preprocessing"])
    return score, prepare, tuple(card["labels"]), str(model), "its own", len(card["labels"])


def _listed(folder, labels, classes):
    """Paths and class numbers."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no such folder. Received: {folder}")
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = [path.name for path in found]
    if labels is not None and names and set(names) <= set(labels):
        numbers = [labels.index(name) for name in names]
    elif len(names) == classes:
        numbers = range(classes)
    else:
        raise ValueError(
            f"the folder must have the model's {classes} classes as sub-folders, or some of them by name. "
            f"Received: {len(names)} sub-folders, {', '.join(names[:5])}"
        )
    paths, y = [], []
    for path, number in zip(found, numbers):
        files = image_files(path)
        paths += files
        y += [number] * len(files)
    if not paths:
        raise ValueError(f"there is no image. Received: {folder}")
    return paths, np.asarray(y, "int32")


def _counted(items, progress, title):
    if not progress:
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, title, console=Console(stderr=True))


def add_row(path, row):
    """Adds a row to a CSV table, which is made if it is not there; the file is whole at any time."""
    from kzoo.files import replacing

    path = Path(path)
    rows = []
    if path.exists():
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    with replacing(path) as aside, open(aside, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
