"""`kzoo benchmark`: a model in every format and precision; size, speed, memory and whether it is right.

Each artefact is measured by itself, in a fresh process, one after another on the same processors.
"""

import math
import os
import tempfile
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kzoo.export import apart
from kzoo.export.formats import FORMATS, NONE, QUALITY
from kzoo.export.report import FAILED, ExportError, in_short, readable_size
from kzoo.files import write_json

RIGHT, DIFFERS, BROKEN, UNPROVEN = "✓", "differs", "failed", "unproven"
TIMEOUT = 300.0  # seconds for one artefact
REPRESENTATIVE = 256  # examples that full int8 takes its ranges from


@dataclass(frozen=True)
class Row:
    """One artefact; `None` where there is no figure.

    Attributes:
        format: as in `kzoo.export.formats.FORMATS`, or `keras` for the model itself on its own engine.
        status: `✓`; `differs`, if it ran but is further from the model than its format allows; `failed`;
            `unproven`, if nothing on this machine can run it.
        bytes: size on disk.
        p50_ms, p95_ms: milliseconds for one example.
        throughput: examples a second, in batches.
        memory_mb, load_s: the peak of a process that opens and runs this artefact only; opening it.
        difference: max|artefact - model| / max|model| on random inputs.
        accuracy: on the test set.
        message: why it is not `✓`.
    """

    format: str
    status: str
    bytes: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    throughput: float | None = None
    memory_mb: float | None = None
    load_s: float | None = None
    difference: float | None = None
    accuracy: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Benchmark:
    """All artefacts of a model; `print` or rich's console shows them as a table."""

    model: str
    engine: str
    rows: list
    threads: int
    batch: int
    data: str | None
    examples: int
    machine: str
    versions: dict
    notes: list = field(default_factory=list)

    def save(self, path):
        """Writes it as JSON."""
        write_json(path, asdict(self))

    def draw(self, path):
        """Draws it as a PNG."""
        from kzoo.export.speed_plot import draw

        return draw(self, path)

    def __rich__(self):
        from rich.table import Table
        from rich.text import Text

        caption = f"{self.machine}; {self.threads} thread{'s' * (self.threads > 1)}"
        if self.data:
            caption += f"; accuracy on {self.examples} test images of {self.data}"
        title = f"{self.model} from {self.engine}"
        table = Table(title=title, title_justify="left", caption="\n".join([caption, *self.notes]))
        table.add_column("format", no_wrap=True)
        heads = (
            "size",
            "p50 ms",
            "p95 ms",
            f"examples/s at {self.batch}",
            "peak MB",
            "difference",
            "accuracy",
        )
        for name in heads:
            table.add_column(name, justify="right")
        table.add_column("", overflow="fold")
        for row in self.rows:
            figures = (
                "–" if row.bytes is None else readable_size(row.bytes),
                _shown(row.p50_ms, ".2f"),
                _shown(row.p95_ms, ".2f"),
                _shown(row.throughput, ",.0f"),
                _shown(row.memory_mb, ",.0f"),
                _shown(row.difference, ".1e"),
                _shown(row.accuracy, ".2%"),
            )
            style = {RIGHT: "green", DIFFERS: "yellow", UNPROVEN: "yellow"}.get(row.status, "red")
            verdict = f"{row.status}: {row.message}" if row.message else row.status
            table.add_row(row.format, *figures, Text(verdict, style))
        return table

    def __str__(self):
        import io

        from rich.console import Console

        page = io.StringIO()
        Console(file=page, width=140, color_system=None).print(self)
        return page.getvalue().rstrip("\n")


def _shown(value, form):
    return "–" if value is None else format(value, form)


def benchmark(
    model,
    formats=None,
    data=None,
    *,
    directory=None,
    threads=1,
    batch=32,
    seconds=2.0,
    samples=2000,
    max_drop=0.01,
    fold=False,
    seed=0,
    progress=None,
):
    """Exports a model to many formats and measures each.

    Args:
        model: a built Keras model on the engine of this process, or the path of a `.keras` file or a run folder.
        formats: which of `kzoo.export.formats.FORMATS`; by default all whose packages are installed.
        data: the name of a data set (or a folder) for the accuracy; by default the one that the card names.
        directory: where the artefacts stay; by default nowhere.
        threads: of each runtime, and processors that it may use.
        batch, seconds: examples in a batch, for the throughput; how long each of the two timings lasts.
        samples: at most so many test images.
        max_drop: how much accuracy a quantised artefact may lose.
        fold: folds batch normalisation into the layers before it before exporting; the Keras model stays as it is.
        seed, progress: as for `kzoo.export.export`.

    Returns:
        A `Benchmark`.

    Raises:
        ValueError: for an unknown format or data set, or a model that cannot be exported.
    """
    from kzoo.export.exporter import check_formats, check_model

    progress = progress or (lambda line: None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not (1 <= threads <= cores and batch >= 1 and seconds > 0 and samples >= 1):
        raise ValueError(
            f"threads must be from 1 to {cores}, and the other sizes above 0. Received: threads={threads}, "
            f"batch={batch}, seconds={seconds}, samples={samples}"
        )
    given = model
    model, source = check_model(model)
    formats = installed_formats() if formats is None else check_formats(formats)
    with tempfile.TemporaryDirectory(prefix="kzoo-benchmark-", ignore_cleanup_errors=True) as scratch:
        bench = _Bench(model, given, source, Path(scratch), threads, batch, seconds, max_drop, fold)
        bench.prepare(data, samples, seed)
        folder = Path(directory) if directory else Path(scratch, "artefacts")
        artefacts = bench.export(formats, folder, seed, progress)
        rows = [bench.baseline(progress)]
        for artefact in artefacts:
            rows.append(bench.judge(artefact, bench.measured(artefact, progress), rows[0]))
        return bench.result(rows)


def installed_formats():
    """The formats whose packages are there."""
    return tuple(
        name for name, form in FORMATS.items() if all(find_spec(package) for package in form.packages)
    )


class _Bench:
    """What one benchmark is about, and where it keeps its files."""

    def __init__(self, model, given, source, scratch, threads, batch, seconds, max_drop, fold=False):
        import keras

        self.model, self.given, self.source, self.scratch = model, given, source, scratch
        self.engine, self.max_drop, self.notes = keras.config.backend(), max_drop, []
        self.fold = fold
        if fold:
            self.notes.append("batch normalisation folded in the artefacts")
        self.data, self.labels, self.examples, self.representative = None, None, 0, None
        self.options = {"threads": threads, "batch": batch, "seconds": seconds, "labelled": None}

    def prepare(self, data, samples, seed):
        """Writes what every artefact is asked: inputs to time, comparisons, and test images if there are any."""
        from kzoo.export.archive import in_float32
        from kzoo.export.reference import reference_cases
        from kzoo.export.runners import KerasRunner
        from kzoo.export.verify import save_cases

        self.copy = in_float32(self.model)
        cases = reference_cases(self.copy, (1, 3), seed, None, None, True)
        batches = {shape[0] for shape in (tensor.shape for tensor in KerasRunner(self.copy).inputs) if shape}
        self.options["batch"] = count = max(batches - {None}, default=self.options["batch"])
        timing = {name: np.resize(array, (count, *array.shape[1:])) for name, array in cases[0][0].items()}
        np.savez(self.scratch / "timing.npz", **timing)
        save_cases(self.scratch / "cases.npz", cases)
        self.options |= {"timing": str(self.scratch / "timing.npz"), "cases": str(self.scratch / "cases.npz")}
        self._prepare_data(data, samples, seed)

    def _prepare_data(self, data, samples, seed):
        from kzoo.data import Preprocessing, load

        card = self._card()
        if not card or not card.get("preprocessing"):
            if data is not None:
                raise ValueError(
                    f"without a card that says how images are prepared, no data set fits. Received: {data!r}"
                )
            return
        name = data or card.get("data")
        try:
            images = load(name, validation=0).take(samples, seed)
        except (ValueError, OSError, ImportError, TypeError) as error:
            if data is not None:
                raise
            self.notes.append(f"no accuracy: the card's data set is not to be had ({in_short(error)})")
            return
        prepare = Preprocessing.from_dict(card["preprocessing"])
        if images.image_shape != prepare.image_shape or list(images.labels) != list(card.get("labels", ())):
            if data is not None:
                raise ValueError(
                    f"the data set has images of {images.image_shape} and {len(images.labels)} labels, the card "
                    f"{prepare.image_shape} and {len(card.get('labels', ()))}. Received: data={data!r}"
                )
            return
        (x, y), few = images.test, REPRESENTATIVE
        self.data, self.examples = images.name, len(y)
        self.representative, self.labelled = prepare(images.train[0][:few]), (prepare(x[:few]), y[:few])
        np.savez(self.scratch / "labelled.npz", x=x, y=y)
        self.options |= {"labelled": str(self.scratch / "labelled.npz"), "preprocessing": prepare.to_dict()}

    def _card(self):
        from kzoo.predict import CARD, load_card

        file = self.source.parent / CARD if self.source is not None else None
        return load_card(file) if file is not None and file.is_file() else None

    def export(self, formats, folder, seed, progress):
        """The artefacts, those that differ from the model included."""
        from kzoo.export.exporter import export
        from kzoo.export.report import Artefact

        left_out, extra = [], {}
        if "tflite_int8" in formats and self.representative is None:
            reason = "full int8 takes its ranges from a data set, and there is none"
            left_out = [Artefact("tflite_int8", None, 0, 0.0, None, 0.0, FAILED, reason)]
            formats = tuple(name for name in formats if name != "tflite_int8")
        if not formats:
            return left_out
        if self.representative is not None:
            extra = {"representative": self.representative, "metric_data": self.labelled, "max_drop": 0.999}
        try:
            # Here nothing is too far off to be kept: `judge` says what is.
            report = export(
                self.given, folder, formats, tolerance=math.inf, seed=seed, progress=progress, **extra
            )
        except ExportError as error:
            if error.report is None:
                message = str(error)
                return [Artefact(name, None, 0, 0.0, None, 0.0, FAILED, message) for name in formats]
            report = error.report
        return [*report.artefacts, *left_out]

    def baseline(self, progress):
        """The model itself, on its own engine."""
        from kzoo.export.archive import modules_needed, save

        path = self.scratch / "model.keras"
        save(self.copy, path)
        modules = modules_needed(path)
        found = self._measure("keras", path, progress, modules, KERAS_BACKEND=self.engine)
        row = Row("keras", RIGHT, bytes=path.stat().st_size)
        return replace(row, status=BROKEN, message=found) if isinstance(found, str) else replace(row, **found)

    def measured(self, artefact, progress):
        """The figures of an artefact as a dict, or why there are none as text."""
        if artefact.path is None:
            return artefact.message
        if FORMATS[artefact.format].proof == NONE:
            return {}
        return self._measure(artefact.format, Path(artefact.path), progress)

    def _measure(self, name, path, progress, modules=None, **environment):
        job = {**self.options, "path": str(path.resolve()), "modules": modules or {}}
        threads = str(self.options["threads"])
        limits = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        environment |= {**dict.fromkeys(limits, threads), "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        try:
            found = apart.call(
                "kzoo.export.measure", job, self.scratch, TIMEOUT, bare=name != "keras", **environment
            )
        except apart.ApartError as error:
            progress(f"{name}: failed: {error}")
            return str(error)
        found.pop("first_ms")
        difference = found["difference"]
        found["difference"] = None if difference == "None" else float(difference)
        progress(f"{name}: {found['p50_ms']:.2f} ms, {found['throughput']:,.0f} examples/s")
        return found

    def judge(self, artefact, found, baseline):
        """A `Row`: an artefact, its figures, and whether it is as near to the model as its format promises."""
        form = FORMATS[artefact.format]
        row = Row(artefact.format, BROKEN, bytes=artefact.bytes or None)
        if isinstance(found, str):
            return replace(row, bytes=row.bytes if artefact.path else None, message=found)
        if not found:
            return replace(row, status=UNPROVEN, message=artefact.message)
        row = replace(row, **found)
        if row.difference is None or not math.isfinite(row.difference):
            return replace(row, status=DIFFERS, difference=None, message="it gives NaN or infinity")
        if form.proof == QUALITY and None not in (row.accuracy, baseline.accuracy):
            if baseline.accuracy - row.accuracy <= self.max_drop:
                return replace(row, status=RIGHT)
            return replace(row, status=DIFFERS, message=f"loses more than {self.max_drop:.0%} of accuracy")
        if row.difference <= form.tolerance:
            return replace(row, status=RIGHT)
        return replace(row, status=DIFFERS, message=f"{form.tolerance:.0e} is allowed")

    def result(self, rows):
        from kzoo.export.exporter import installed_versions
        from kzoo.runs import machine

        options = self.options
        return Benchmark(
            self.model.name, self.engine, rows, options["threads"], options["batch"], self.data, self.examples,
            machine(), installed_versions(), self.notes,
        )  # fmt: skip
