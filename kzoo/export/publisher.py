"""Publishes a model for serving: one numbered version, proved before a server can see it.

    BASE/<name>/<version>/saved_model.pb, variables/, assets/
                          assets.extra/card.json, labels.txt, tf_serving_warmup_requests, samples/

A server that watches `BASE/<name>` loads the version as soon as it is there. It is therefore made and compared
with the model in a hidden folder beside, and gets its number by a rename.
"""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from kzoo import engine
from kzoo.export import apart
from kzoo.export.card import EXTRA
from kzoo.export.pictures import write_pictures, write_samples
from kzoo.export.report import ExportError, in_short
from kzoo.export.staging import staging

TOLERANCE = (
    1e-5  # of serving_default, as a share of the largest output; of scores of pictures of the model's size
)
RESIZED = 0.02  # of scores of pictures that had to be resized: a pixel may be a grey level away from Pillow's
TIMEOUT = 1800.0  # seconds for tracing, saving and running
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass
class Published:
    """One published version and its proof.

    Attributes:
        path: the directory of the version.
        name, version: as a server shows them.
        signatures: what can be called.
        bytes: size on disk.
        seconds: what publishing took.
        difference: max|serving_default - model| / max|model|.
        scores_difference: the largest difference of a score between `classify_images` and `kzoo.predict` on
            encoded pictures, or `None` where there is no such signature.
        note: why there is none.
    """

    path: Path
    name: str
    version: int
    signatures: tuple
    bytes: int
    seconds: float
    difference: float
    scores_difference: float | None
    note: str = ""

    def __rich__(self):
        from rich.table import Table

        table = Table(title=f"{self.name}, version {self.version}", show_header=False, title_justify="left")
        table.add_row("directory", str(self.path))
        table.add_row("signatures", ", ".join(self.signatures))
        table.add_row("size", f"{self.bytes / 1e6:.1f} MB")
        table.add_row("differs from the model by", f"{self.difference:.1e}")
        if self.scores_difference is not None:
            table.add_row("scores of pictures differ by", f"{self.scores_difference:.1e}")
        if self.note:
            table.add_row("note", self.note)
        return table


def publish(
    model,
    base,
    name=None,
    version=None,
    tolerance=None,
    progress=None,
    *,
    card=None,
    samples=None,
    batch_sizes=(1, 3),
    seed=0,
):
    """Writes a model of any engine as the next version of a served model.

    Args:
        model: a built Keras model on the engine of this process, or the path of a `.keras` file or a run folder.
        base: the directory of all served models.
        name: the model's name on the server. By default the run folder's or the file's name, or the model's.
        version: its number, by default one more than the highest there.
        tolerance: the largest difference allowed of `serving_default`, as a share of the largest output;
            default 1e-5.
        progress: a function called with a line of text whenever something has been done.
        card: the card as a dict, for a model that has none beside it.
        samples: the name of a data set, or a folder as `kzoo.data.load` takes it: a dozen of its test images go
            into `assets.extra/samples`, for the page of `kzoo serve`.
        batch_sizes: two or more batch sizes to compare at.
        seed: of the random inputs.

    Returns:
        A `Published`.

    Raises:
        ValueError: if the name or version is not one, the version exists, or the card does not fit the model.
        OSError: if the directory cannot be written.
        ImportError: if a package is missing; it names the extra.
        ExportError: if the SavedModel cannot be made or differs from the model. Nothing is published then.
    """
    start, progress = time.perf_counter(), progress or (lambda line: None)
    tolerance = TOLERANCE if tolerance is None else float(tolerance)
    for package, extra in (("tensorflow", "export"), ("tensorflow_serving", "serve")):
        _check_package(package, extra)
    from kzoo.data import load
    from kzoo.export.exporter import check_model

    given = model
    model, source = check_model(model)
    name = _check_name(name or _default_name(given, model))
    card = _check_card(card if card is not None else _card_beside(source))
    images = None if samples is None else load(samples, validation=0)
    folder = Path(base) / name
    if version is not None:
        _check_version(folder, version)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with staging(folder) as aside:
            job, expected, note = _prepare(model, source, card, aside, batch_sizes, seed)
            made = aside / "version"
            result = _make({**job, "name": name, "path": str(made.resolve())}, aside, progress)
            difference = float(result["difference"])
            if not difference <= tolerance:
                raise ExportError(
                    f"the SavedModel differs from the model by {difference:.1e}, more than {tolerance:.0e}"
                )
            scores = _compare_pictures(expected, result["pictures"])
            if images is not None:
                write_samples(made / EXTRA / "samples", images)
            path = _take_number(made, folder, version)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty, because there is no version yet
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    seconds = time.perf_counter() - start
    signatures = tuple(result["signatures"])
    return Published(path, name, int(path.name), signatures, size, seconds, difference, scores, note)


def _make(job, folder, progress):
    try:
        environment = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
        return apart.call("kzoo.export.servable", job, folder, TIMEOUT, progress, **environment)
    except apart.ApartError as error:
        raise ExportError(f"the model cannot be published: {error}") from error


def versions(folder):
    """The numbers of the versions in a model's folder, ascending."""
    if not Path(folder).is_dir():
        return []
    return sorted(
        int(path.name) for path in Path(folder).iterdir() if path.name.isdecimal() and path.is_dir()
    )


def _check_package(package, extra):
    from importlib.util import find_spec

    if find_spec(package) is None:
        engine.require(package, extra)  # raises, and says what to install


def _default_name(given, model):
    if not isinstance(given, str | os.PathLike):
        return re.sub(r"[^A-Za-z0-9_.-]", "_", model.name)
    path = Path(given).resolve()
    if path.name == "model.keras":
        path = path.parent
    return re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem if path.suffix == ".keras" else path.name)


def _check_name(name):
    if not NAME.fullmatch(name):
        raise ValueError(
            "a model's name is made of letters, digits, dots, hyphens and underscores, and starts with no dot or "
            f"hyphen. Received: name={name!r}"
        )
    return name


def _check_version(folder, version):
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"a version is a whole number of at least 1. Received: version={version!r}")
    if version in versions(folder):
        raise ValueError(
            f"this version exists, and a version is never replaced. Received: {folder / str(version)}"
        )


def _card_beside(source):
    from kzoo.predict import CARD, load_card

    if source is None or not (file := source.parent / CARD).is_file():
        return None
    return load_card(file)


def _check_card(card):
    if card is not None and not isinstance(card, dict):
        raise ValueError(f"a card is a dict. Received: card={card!r}")
    return card


def _prepare(model, source, card, aside, batch_sizes, seed):
    """The worker's job, what `kzoo.predict` says of the pictures in it, and why there are none."""
    from kzoo.export.archive import in_float32, modules_needed, save
    from kzoo.export.reference import reference_cases
    from kzoo.export.runners import KerasRunner
    from kzoo.export.verify import save_cases
    from kzoo.predict import classify

    copy = in_float32(model)
    cases = reference_cases(copy, batch_sizes, seed)
    save_cases(aside / "cases.npz", cases)
    path = aside / "source.keras"
    if source is not None and copy is model:
        path = source.resolve()
    else:
        save(copy, path)
    job = {
        "model": str(path),
        "modules": modules_needed(path),
        "trusted": source is None,
        "cases": str(aside / "cases.npz"),
        "card": card,
        "pictures": [],
    }
    runner, (_, outputs) = KerasRunner(copy), cases[0]
    note = _why_no_pictures(runner, outputs, card)
    if note:
        return job, [], note
    shape = tuple(card["preprocessing"]["image_shape"])
    pictures = write_pictures(aside / "pictures", shape, seed)
    try:
        expected = classify(runner, card, list(pictures), top=len(card["labels"]))
    except ValueError as error:
        raise ValueError(f"the card does not fit the model: {in_short(error)}") from error
    job["pictures"] = [str(file) for file in pictures]
    return job, list(zip(expected, pictures.values())), note


def _why_no_pictures(runner, outputs, card):
    """Why a model cannot be asked about encoded pictures; empty if it can."""
    if card is None:
        return "no card.json beside the model: no signature for pictures"
    if not card.get("labels") or not card.get("preprocessing"):
        return "the card names no labels or no preprocessing: no signature for pictures"
    if runner.inputs[0].shape[:1] != (None,):
        return "the model fixes its batch size: no signature for pictures"
    wanted, labels = tuple(card["preprocessing"].get("image_shape", ())), len(card["labels"])
    if len(runner.inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "the card says image classifier: one input, one output. Received: "
            f"{len(runner.inputs)} inputs, {len(outputs)} outputs"
        )
    (tensor,), (scores,) = runner.inputs, outputs.values()
    fits = len(tensor.shape) == 4 and all(
        size in (None, want) for size, want in zip(tensor.shape[1:], wanted)
    )
    if not fits or scores.shape[1:] != (labels,):
        raise ValueError(
            f"the card says images of {wanted} and {labels} labels. Received: a model with the input {tensor} "
            f"and outputs of shape {scores.shape}"
        )
    return ""


def _compare_pictures(expected, found):
    """The largest difference of a score; raises if a picture is told otherwise than by the model."""
    worst = None
    for (prediction, resized), answer in zip(expected, found, strict=True):
        scores = dict(zip(map(str, prediction.labels), prediction.scores))
        allowed = RESIZED if resized else TOLERANCE
        apart_by = max(abs(scores[label] - score) for label, score in zip(answer["labels"], answer["scores"]))
        best, given = prediction.scores[0], scores[answer["labels"][0]]
        if not apart_by <= allowed or best - given > 2 * allowed:
            raise ExportError(
                f"classify_images says {answer['labels'][0]} ({answer['scores'][0]:.4f}) of the picture "
                f"{prediction.file.name}, the model {prediction.labels[0]} ({best:.4f}): scores are "
                f"{apart_by:.1e} apart, more than {allowed:.0e}"
            )
        worst = apart_by if worst is None else max(worst, apart_by)
    return worst


def _take_number(made, folder, version):
    """Renames what was made to its version; another process may have taken the next number meanwhile."""
    while True:
        number = version if version is not None else max(versions(folder), default=0) + 1
        target = folder / str(number)
        try:
            made.rename(target)  # onto a directory that holds anything this fails
            return target
        except OSError as error:
            if not target.exists():
                raise
            if version is not None:
                raise ValueError(
                    f"this version exists, and a version is never replaced. Received: {target}"
                ) from error
