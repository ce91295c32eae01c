"""What a trained image classifier says of image files: by a run, a `.keras` file or an exported model."""

import csv
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.folder import image_files
from kzoo.data.preprocessing import CorruptImageError, Preprocessing
from kzoo.export.card import read_card_of

CARD = "card.json"


@dataclass(frozen=True)
class Prediction:
    """What was predicted for one file.

    Attributes:
        file: its path.
        labels: the likeliest classes, the likeliest first.
        scores: their probabilities.
        error: why the file could not be read, and `labels` is empty; else `None`.
    """

    file: Path
    labels: tuple = ()
    scores: tuple = ()
    error: str | None = None


def predict(model_path, files, top=3, batch_size=32, on_corrupt="error"):
    """Classifies images.

    The model's `card.json` says how images are prepared, what the classes are called and whether the model
    gives logits or probabilities.

    Args:
        model_path: a run folder, a `.keras` file, or an exported SavedModel directory, `.onnx` or `.tflite`
            file, with its card in it, beside it or in the folder above.
        files: paths of images and of folders, which are searched at any depth; or a single one.
        top: how many classes to give for each.
        batch_size: how many images go through the model at once.
        on_corrupt: `"error"`, or `"skip"` to warn, and give such a file a prediction without labels.

    Returns:
        A list of `Prediction`, in the order of the files.

    Raises:
        FileNotFoundError: if the model, its card or a file is not there.
        ValueError: if the card or the model does not fit, there is no image, or one cannot be read.
    """
    from kzoo.export.runners import open_artefact

    if on_corrupt not in ("error", "skip"):
        raise ValueError(f"on_corrupt must be 'error' or 'skip'. Received: on_corrupt={on_corrupt!r}")
    if top < 1 or batch_size < 1:
        raise ValueError(
            f"top and batch_size must be at least 1. Received: top={top}, batch_size={batch_size}"
        )
    card, paths = read_card(model_path), find_images(files)
    return classify(open_artefact(model_path), card, paths, top, batch_size, on_corrupt)


def classify(runner, card, paths, top=3, batch_size=32, on_corrupt="error"):
    """Classifies image files by a model that is open already.

    Args:
        runner: what `kzoo.export.open_artefact` gives.
        card: the model's card.
        paths: the image files.
        top, batch_size, on_corrupt: as for `predict`.
    """
    prepare, labels = Preprocessing.from_dict(card["preprocessing"]), card["labels"]
    if len(runner.inputs) != 1:
        names = ", ".join(tensor.name for tensor in runner.inputs)
        raise ValueError(f"the model must have one input, a batch of images. Received: {names}")
    found = []
    for start in range(0, len(paths), batch_size):
        images, errors = _read(paths[start : start + batch_size], prepare, on_corrupt)
        rows = iter(_scores(runner, prepare(np.stack(images)), card) if images else ())
        for path in paths[start : start + batch_size]:
            if path in errors:
                found.append(Prediction(path, error=errors[path]))
                continue
            row = next(rows)
            best = np.argsort(-row, kind="stable")[:top]
            found.append(Prediction(path, tuple(labels[i] for i in best), tuple(float(row[i]) for i in best)))
    if errors := [one.error for one in found if one.error]:
        warnings.warn(f"{len(errors)} image(s) skipped: {'; '.join(errors)}", stacklevel=2)
    return found


def read_card(model_path):
    """The card of an image classifier: `card.json` beside it, the card in it, or `card.json` in the folder above.

    Raises:
        FileNotFoundError: if there is no model, or no card.
        ValueError: if the card lacks labels or preprocessing.
    """
    path = Path(model_path)
    if not path.exists():
        raise FileNotFoundError(f"there is no such model. Received: {path}")
    folder = path if path.is_dir() else path.resolve().parent
    if (folder / CARD).is_file():
        return _checked(load_card(folder / CARD), folder / CARD)
    if (card := read_card_of(path)) is not None:
        return _checked(card, path)
    above = folder.resolve().parent / CARD
    if above.is_file():
        return _checked(load_card(above), above)
    raise FileNotFoundError(
        f"the model has no {CARD}, which says how images are prepared and what the classes are called: it must be "
        f"in the model, in its folder or the one above. Runs of recipes leave one. Received: {path}"
    )


def load_card(path):
    """The card in a JSON file, whatever it says.

    Raises:
        ValueError: if it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the card is not JSON ({error}). Received: {path}") from error


def _checked(card, path):
    missing = [key for key in ("labels", "preprocessing") if not isinstance(card, dict) or not card.get(key)]
    if missing:
        raise ValueError(f"the card lacks {' and '.join(missing)}. Received: {path}")
    if card.get("outputs", "logits") not in ("logits", "probabilities"):
        raise ValueError(
            f"outputs must be 'logits' or 'probabilities' in {path}. Received: {card['outputs']!r}"
        )
    return card


def find_images(files):
    """The paths of images, for paths of images and of folders; each once, in order.

    Raises:
        FileNotFoundError: if a path leads nowhere.
        ValueError: if there is no image.
    """
    paths = []
    for file in [files] if isinstance(files, str | Path) else files:
        path = Path(file)
        if not path.exists():
            raise FileNotFoundError(f"there is no such file or folder. Received: {path}")
        paths += image_files(path) if path.is_dir() else [path]
    if not paths:
        raise ValueError(f"there is no image to classify. Received: {files!r}")
    return list(dict.fromkeys(paths))


def softmax(logits):
    """Probabilities for logits, along the last axis."""
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def table(predictions):
    """A table for `rich.console.Console().print`."""
    from rich.table import Table
    from rich.text import Text

    shown = Table("file", "label", "score", "then", box=None, header_style="bold", pad_edge=False)
    for column in (0, 1, 3):
        shown.columns[column].overflow = "fold"
    shown.columns[2].justify = "right"
    for one in predictions:
        if one.error:
            shown.add_row(Text(str(one.file)), Text(one.error, style="red"))
            continue
        rest = ", ".join(f"{label} {score:.1%}" for label, score in zip(one.labels[1:], one.scores[1:]))
        label = Text(one.labels[0], style="bold")
        shown.add_row(Text(str(one.file)), label, f"{one.scores[0]:.1%}", Text(rest, style="dim"))
    return shown


def write_csv(predictions, stream):
    """Writes `file,label_1,score_1,…,error`, one line per file, to an open text stream."""
    top = max((len(one.labels) for one in predictions), default=0)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["file", *(f"{name}_{i}" for i in range(1, top + 1) for name in ("label", "score")), "error"]
    )
    for one in predictions:
        cells = [cell for pair in zip(one.labels, (f"{score:.6f}" for score in one.scores)) for cell in pair]
        writer.writerow([one.file, *cells, *[""] * (2 * top - len(cells)), one.error or ""])


def _read(paths, prepare, on_corrupt):
    """The images that can be read, in order, and what is wrong with the others."""
    images, errors = [], {}
    for path in paths:
        try:
            images.append(prepare.read_image(path))
        except CorruptImageError as error:
            if on_corrupt == "error":
                raise
            errors[path] = str(error)
    return images, errors


def _scores(runner, batch, card):
    """Probabilities, `(n, classes)`, of a prepared batch."""
    results = runner.run({runner.inputs[0].name: batch})
    if len(results) != 1:
        raise ValueError(f"the model must have one output, a row of scores. Received: {', '.join(results)}")
    (scores,) = results.values()
    wanted = (len(batch), len(card["labels"]))
    if scores.shape != wanted:
        raise ValueError(f"the model must give one score per label: {wanted}. Received: {scores.shape}")
    return softmax(scores.astype("float64")) if card.get("outputs", "logits") == "logits" else scores
