"""Exports a Keras model of any engine, and proves what it exported.

The process that calls `export` stays on its own engine: it saves the model and records what it gives for
random inputs. One worker process on TensorFlow converts, runs and compares (`worker.py`). What passes is
moved to its final name; what does not, never appears there.
"""

import importlib.metadata
import math
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from kzoo import engine
from kzoo.export.formats import FORMATS
from kzoo.export.process import work
from kzoo.export.report import FAILED, PASSED, Artefact, ExportError, Report


def export(
    model,
    directory,
    formats=("savedmodel", "onnx", "tflite"),
    tolerance=None,
    batch_sizes=(1, 3),
    seed=0,
    progress=None,
):
    """Exports a model, runs each artefact and compares it with the model on its own engine.

    A model with layers in half or double precision is exported as its copy in float32, and compared with it.

    Args:
        model: a built Keras model on the engine of this process, or the path of a `.keras` file or of a run
            folder that holds `model.keras`. A `card.json` beside that file is copied.
        directory: where `savedmodel/`, `model.onnx`, `model.tflite` and the report `export.json` go. An
            artefact that is there already is replaced once the new one has passed.
        formats: which of `savedmodel`, `onnx`, `tflite`.
        tolerance: the largest difference allowed, as a share of the largest output: a number for all formats,
            a dict by format, or `None` for 1e-5 (SavedModel, ONNX) and 1e-4 (TFLite).
        batch_sizes: two or more batch sizes to compare at.
        seed: of the random inputs.
        progress: a function called with a line of text whenever something has been done.

    Returns:
        A `Report`.

    Raises:
        ValueError: for an unknown format, a file that is no Keras model, a model that is not built.
        OSError: if the directory cannot be written.
        ImportError: if a package is missing; it names the extra.
        ExportError: if a format failed, after all have been tried. Its `report` says how.
    """
    progress = progress or (lambda line: None)
    formats, tolerances = _check_formats(formats), _check_tolerances(tolerance)
    batch_sizes = _check_batch_sizes(batch_sizes)
    _check_packages(formats)
    model, source = _check_model(model)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Inside the directory, so that moving an artefact out is a rename.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory, ignore_cleanup_errors=True) as staging:
        staging = Path(staging)
        job, report = _prepare(model, source, staging, batch_sizes, seed, progress)
        results = work({**job, "formats": formats, "tolerances": tolerances}, staging, progress)
        for name in formats:
            report.artefacts.append(_publish(name, results[name], tolerances[name], staging, directory))
        report.save(directory / "export.json")
        _copy_card(source, directory)
    if report.failures:
        reasons = "; ".join(f"{artefact.format}: {artefact.message}" for artefact in report.failures)
        raise ExportError(f"{len(report.failures)} of {len(formats)} exports failed: {reasons}", report)
    return report


def _check_formats(formats):
    formats = (formats,) if isinstance(formats, str) else tuple(dict.fromkeys(formats))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"the formats are {', '.join(FORMATS)}. Received: formats={formats!r}")
    return formats


def _check_tolerances(tolerance):
    given = tolerance if isinstance(tolerance, dict) else dict.fromkeys(FORMATS, tolerance)
    if unknown := set(given) - set(FORMATS):
        raise ValueError(f"the formats are {', '.join(FORMATS)}. Received: tolerance for {sorted(unknown)}")
    tolerances = {}
    for name, form in FORMATS.items():
        value = given.get(name)
        tolerances[name] = form.tolerance if value is None else float(value)
        if not tolerances[name] >= 0:
            raise ValueError(f"a tolerance is a number of at least 0. Received: tolerance={tolerance!r}")
    return tolerances


def _check_batch_sizes(batch_sizes):
    sizes = tuple(batch_sizes)
    if len(set(sizes)) < 2 or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(f"give two different batch sizes or more. Received: batch_sizes={batch_sizes!r}")
    return sizes


def _check_packages(formats):
    for package in dict.fromkeys(package for name in formats for package in FORMATS[name].packages):
        if find_spec(package) is None:
            engine.require(package, "export")  # raises, and says what to install


def _check_model(model):
    """The model and the path that it was loaded from, if any."""
    import keras

    from kzoo.export.archive import load_keras
    from kzoo.export.signature import inputs_of

    source = None
    if isinstance(model, str | os.PathLike):
        source = Path(model)
        model = load_keras(source)
        source = source / "model.keras" if source.is_dir() else source
    if not isinstance(model, keras.Model):
        raise ValueError(f"expected a Keras model or a path. Received: model={model!r}")
    inputs_of(model)
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ValueError(f"a layer that is stateful cannot be exported. Received: layer={layer.name!r}")
    return model, source


def _prepare(model, source, staging, batch_sizes, seed, progress):
    """Saves the model and its reference outputs: the worker's job, and the report to be filled."""
    import keras

    from kzoo.export.archive import in_float32, modules_needed, save
    from kzoo.export.reference import reference_cases, says_little
    from kzoo.export.verify import save_cases

    copy = in_float32(model)
    cases = reference_cases(copy, batch_sizes, seed)
    path = staging / "source.keras"
    if source is not None and copy is model:
        path = source.resolve()
    else:
        save(copy, path)
    save_cases(staging / "cases.npz", cases)
    used = [len(next(iter(inputs.values()))) for inputs, _ in cases]
    report = Report([], model.name, keras.config.backend(), _versions(), tuple(used), seed)
    if copy is not model:
        report.notes.append("a float32 copy of a model in another precision")
    if says_little(cases):
        report.notes.append("the outputs hardly depend on the inputs, so that their agreement proves little")
    progress(f"{model.name}: reference outputs on {report.engine} at batch {' and '.join(map(str, used))}")
    job = {
        "model": str(path),
        "modules": modules_needed(path),
        "trusted": source is None,
        "cases": str(staging / "cases.npz"),
        "staging": str(staging.resolve()),
        "fixed_batch": used[0] if len(used) == 1 else None,
    }
    return job, report


def _versions():
    names = ["kzoo", "keras", "numpy", *engine.ENGINES, "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert"]
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _publish(name, result, tolerance, staging, directory):
    """Moves an artefact that passed to its final name, and describes it."""
    difference = None if result["difference"] is None else float(result["difference"])
    artefact = Artefact(name, None, 0, result["seconds"], difference, tolerance, FAILED, result["message"])
    if not result["passed"] or difference is None or math.isnan(difference):
        return artefact
    staged, final = staging / FORMATS[name].file, directory / FORMATS[name].file
    artefact.bytes = sum(file.stat().st_size for file in [staged, *staged.rglob("*")] if file.is_file())
    if final.is_dir():
        final.rename(staging / f"previous-{final.name}")  # a directory cannot be replaced in one step
    os.replace(staged, final)
    artefact.path, artefact.status = str(final), PASSED
    return artefact


def _copy_card(source, directory):
    if source is None or not (card := source.parent / "card.json").is_file():
        return
    target = directory / "card.json"
    if not (target.exists() and target.samefile(card)):
        shutil.copyfile(card, target)
