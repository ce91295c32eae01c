"""Exports a Keras model of any engine, and proves what it exported.

The process that calls `export` stays on its own engine: it saves the model and records what it gives for
random inputs. Worker processes convert, run and compare (`worker.py`), on the engines that the formats need. What
passes is moved to its final name; what does not, never appears there.
"""

import importlib.metadata
import math
import os
import shutil
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

from kzoo import engine
from kzoo.export.formats import DEFAULT, FORMATS, QUALITY
from kzoo.export.process import work
from kzoo.export.report import FAILED, FLEX, PASSED, Artefact, ExportError, Report
from kzoo.export.staging import replace, staging


def export(
    model,
    directory,
    formats=DEFAULT,
    tolerance=None,
    batch_sizes=(1, 3),
    seed=0,
    progress=None,
    *,
    lengths=None,
    static_shape=None,
    allow_flex=False,
    modules=(),
    representative=None,
    metric_data=None,
    metric=None,
    max_drop=0.01,
    fold=False,
):
    """Exports a model, runs each artefact and compares it with the model on its own engine.

    A model with layers in half or double precision is exported as its copy in float32, and compared with it.

    Args:
        model: a built Keras model on the engine of this process, or the path of a `.keras` file or of a run
            folder that holds `model.keras`. A `card.json` beside that file is copied, and put into each artefact.
        directory: where the artefacts (see `kzoo.export.formats`) and the report `export.json` go. An artefact
            that is there already is replaced once the new one has passed.
        formats: which of `kzoo.export.formats.FORMATS`.
        tolerance: the largest difference allowed, as a share of the largest output: a number for all formats,
            a dict by format, or `None` for 1e-5, and 1e-4 for TFLite.
        batch_sizes: two or more batch sizes to compare at.
        seed: of the random inputs.
        progress: a function called with a line of text whenever something has been done.
        lengths: two or more sizes to compare at where the model leaves a length, height or width free. By default
            some that the model takes.
        static_shape: shapes by input, such as `{"input": (1, 64, 8)}`, with `None` for a free dimension. TFLite,
            PyTorch and Core ML artefacts are made for them; the others keep all free that the model does, and
            fall back on them.
        allow_flex: whether TFLite may use TensorFlow's own operators where it has none. The stock interpreter
            does not run these, so that such a file stays unproven; a warning names them.
        modules: names of modules that define classes of the model.
        representative: 64 examples or more of what the model will see: an array, a dict of arrays by input, or a
            dataset of batches. `tflite_int8` takes the ranges of its numbers from them.
        metric_data: labelled examples `(x, y)`, or batches of them, by which quantised artefacts are judged.
        metric: a function of labels and outputs, larger is better. By default accuracy.
        max_drop: how much of the metric a quantised artefact may lose.
        fold: folds batch normalisation into the layers before it first (see `folding.py`). The artefacts are
            compared with the model as it was.

    Returns:
        A `Report`.

    Raises:
        ValueError: for an unknown format, a file that is no Keras model, a model that is not built, examples or
            shapes that do not fit it.
        OSError: if the directory cannot be written.
        ImportError: if a package is missing; it names the extra.
        ExportError: if a format failed, after all have been tried. Its `report` says how.
    """
    progress = progress or (lambda line: None)
    formats, tolerances = check_formats(formats), _check_tolerances(tolerance)
    _check_sizes(batch_sizes, "batch sizes")
    if lengths is not None:
        _check_sizes(lengths, "lengths")
    if "tflite_int8" in formats and representative is None:
        raise ValueError(
            "tflite_int8 needs 64 examples of what the model will see. Received: representative=None"
        )
    _check_packages(formats)
    from kzoo.export.archive import import_modules

    files = import_modules(modules)
    model, source = check_model(model)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with staging(directory) as folder:
        exporting = _Exporting(model, source, folder.resolve(), formats, tolerances, fold)
        exporting.compare_at(tuple(batch_sizes), lengths, static_shape, seed, progress)
        if any(FORMATS[name].proof == QUALITY for name in formats):
            exporting.judge_by(representative, metric_data, metric, max_drop)
        results = work(exporting.job(files, allow_flex), folder, progress)
        for name in formats:
            exporting.publish(name, results[name], directory)
        report = exporting.report
        report.save(directory / "export.json")
        _copy_card(source, directory)
    if report.failures:
        reasons = "; ".join(f"{artefact.format}: {artefact.message}" for artefact in report.failures)
        raise ExportError(f"{len(report.failures)} of {len(formats)} exports failed: {reasons}", report)
    return report


class _Exporting:
    """One export: what the workers are asked, and the report on what they answer."""

    def __init__(self, model, source, folder, formats, tolerances, fold):
        import keras

        from kzoo.export.archive import in_float32
        from kzoo.export.folding import fold_batch_norm
        from kzoo.export.runners import KerasRunner

        self.formats, self.tolerances, self.source, self.folder = formats, tolerances, source, folder
        self.model, self.given = in_float32(model), model
        self.runner = KerasRunner(self.model)
        self.cases, self.chosen, self.quality = [], {}, None
        self.report = Report([], model.name, keras.config.backend(), installed_versions(), (), 0)
        if self.model is not model:
            self.report.notes.append("a float32 copy of a model in another precision")
        if fold:  # what was given stays the one that `runner` runs
            self.model = fold_batch_norm(self.model)
            self.report.notes.append("batch normalisation folded")

    def compare_at(self, batch_sizes, lengths, static_shape, seed, progress):
        """Records the model's outputs for random inputs."""
        from kzoo.export.reference import reference_cases, says_little
        from kzoo.export.shapes import check_chosen
        from kzoo.export.verify import save_cases

        tensors = self.runner.inputs
        self.chosen = check_chosen(static_shape, tensors)
        fixed_length = any(FORMATS[name].may_fix_length for name in self.formats)
        self.cases = reference_cases(self.runner.model, batch_sizes, seed, lengths, self.chosen, fixed_length)
        save_cases(self.folder / "cases.npz", self.cases)
        used, sizes = [], []
        for inputs, _ in self.cases:
            for tensor in tensors:
                shape = inputs[tensor.name].shape
                used += shape[:1]
                sizes += [size for size, wanted in zip(shape[1:], tensor.shape[1:]) if wanted is None]
        self.report.seed = seed
        self.report.batch_sizes = tuple(dict.fromkeys(used))
        self.report.lengths = tuple(dict.fromkeys(sizes))
        if says_little(self.cases):
            self.report.notes.append(
                "the outputs hardly depend on the inputs, so that their agreement proves little"
            )
        where = f"batch {' and '.join(map(str, self.report.batch_sizes))}"
        if sizes:
            where += f", length {' and '.join(map(str, self.report.lengths))}"
        progress(f"{self.report.model}: reference outputs on {self.report.engine} at {where}")

    def judge_by(self, representative, metric_data, metric, max_drop):
        """Records the model's outputs for the caller's examples."""
        from kzoo.export import quality

        self.quality = quality.prepare(self.runner, representative, metric_data, metric, max_drop)
        if self.quality.inputs:
            quality.save_arrays(self.folder / "quality.npz", self.quality.inputs)

    def job(self, modules, allow_flex):
        """What the workers read."""
        from kzoo.export.archive import modules_needed, own_route, save

        path = self.folder / "source.keras"
        if self.source is not None and self.model is self.given:
            path = self.source.resolve()
        else:
            save(self.model, path)
        first = self.cases[0][0]
        return {
            "model": str(path),
            "modules": {**modules, **modules_needed(path)},
            "trusted": self.source is None,
            "cases": str(self.folder / "cases.npz"),
            "quality": str(self.folder / "quality.npz") if self.quality and self.quality.inputs else None,
            "staging": str(self.folder),
            "chosen": self.chosen,
            "sizes": {name: array.shape for name, array in first.items()},
            "allow_flex": allow_flex,
            "own_route": own_route(),
            "card": _card(self.source),
            "formats": self.formats,
            "tolerances": self.tolerances,
        }

    def publish(self, name, result, directory):
        """Moves an artefact that passed to its final name, and describes it."""
        from kzoo.export.quality import judge

        form, tolerance = FORMATS[name], self.tolerances[name]
        status, message, metric = result["status"], result["message"], None
        difference = None if result["difference"] is None else float(result["difference"])
        if status == PASSED and form.proof == QUALITY:
            status, difference, verdict, metric = judge(
                self.quality, self.folder / f"{name}.npz", difference, tolerance
            )
            message = f"{message}, {verdict}" if status == PASSED else verdict
        if status == PASSED and math.isnan(difference):
            status = FAILED
        artefact = Artefact(name, None, 0, result["seconds"], difference, tolerance, status, message, metric)
        self.report.artefacts.append(artefact)
        if status == FAILED:
            return
        if FLEX in message:
            warning = f"{form.file} {message[message.index(FLEX) :]}"
            self.report.notes.append(warning)
            warnings.warn(warning, stacklevel=3)
        staged, final = self.folder / form.file, directory / form.file
        artefact.bytes = sum(file.stat().st_size for file in [staged, *staged.rglob("*")] if file.is_file())
        replace(staged, final, self.folder / f"previous-{final.name}")
        artefact.path = str(final)


def check_formats(formats):
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


def _check_sizes(given, what):
    sizes = tuple(given)
    if len(set(sizes)) < 2 or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(f"give two different {what} or more. Received: {given!r}")


def _check_packages(formats):
    for name in formats:
        for package in FORMATS[name].packages:
            if find_spec(package) is None:
                engine.require(package, FORMATS[name].extra)  # raises, and says what to install


def check_model(model):
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


def installed_versions():
    names = ["kzoo", "keras", "numpy", *engine.ENGINES, "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert"]
    names += ["coremltools", "openvino"]
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _card(source):
    from kzoo.predict import load_card

    if source is None or not (file := source.parent / "card.json").is_file():
        return None
    return load_card(file)


def _copy_card(source, directory):
    if source is None or not (card := source.parent / "card.json").is_file():
        return
    target = directory / "card.json"
    if not (target.exists() and target.samefile(card)):
        shutil.copyfile(card, target)
