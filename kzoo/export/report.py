"""What an export did: one line per artefact, as data, as a table and as JSON."""

import json
import math
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

PASSED, UNPROVEN, FAILED = "passed", "unproven", "failed"
FLEX = "needs the Flex delegate"
COLOURS = {PASSED: "green", UNPROVEN: "yellow", FAILED: "red"}
# How frameworks begin a message before they come to the point.
PREAMBLE = ("Graph execution error", "Detected at node", "<stack traces", "Exception encountered when")


class ExportError(RuntimeError):
    """An export that failed, wholly or for some formats.

    Attributes:
        report: the `Report` of all formats that were tried, or `None` if none was.
    """

    def __init__(self, message, report=None):
        super().__init__(message)
        self.report = report


@dataclass
class Artefact:
    """One exported file or directory and its proof.

    Attributes:
        format: one of `kzoo.export.formats.FORMATS`.
        path: where it lies, or `None` if it failed.
        bytes: its size on disk.
        seconds: converting and verifying it.
        difference: max|artefact - model| / max|model| over all comparisons, or `None` if it never ran.
        tolerance: the largest difference allowed; of a quantised artefact, where nothing else decides.
        status: `passed`, `failed`, or `unproven` where it was converted but cannot run on this system.
        message: what it takes and, if quantised, what decided; or why it failed.
        metric: of a quantised artefact `name`, `model` and `artefact`: what decided, before and after.
    """

    format: str
    path: str | None
    bytes: int
    seconds: float
    difference: float | None
    tolerance: float
    status: str
    message: str = ""
    metric: dict | None = None


@dataclass
class Report:
    """The artefacts of one export; `print` or rich's console shows it as a table.

    Attributes:
        artefacts: one `Artefact` per format.
        model: its name.
        engine: the engine that gave the outputs to compare with.
        versions: of the packages involved.
        batch_sizes, lengths: what was compared at; no lengths where the model leaves none free.
        seed: of the random inputs.
        notes: what else a reader should know.
    """

    artefacts: list[Artefact]
    model: str
    engine: str
    versions: dict[str, str]
    batch_sizes: tuple[int, ...]
    seed: int
    notes: list[str] = field(default_factory=list)
    lengths: tuple[int, ...] = ()

    @property
    def failures(self):
        """The artefacts that failed."""
        return [artefact for artefact in self.artefacts if artefact.status == FAILED]

    def save(self, path):
        """Writes the report as JSON; the artefacts' paths become relative to it."""
        path = Path(path)
        content = asdict(self)
        for artefact in content["artefacts"]:
            if artefact["path"] is not None:
                artefact["path"] = Path(os.path.relpath(artefact["path"], path.parent)).as_posix()
            if artefact["difference"] is not None and not math.isfinite(artefact["difference"]):
                artefact["difference"] = None
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, path)

    def __rich__(self):
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{self.model} on {self.engine}, exported", caption="\n".join(self.notes) or None)
        for name in ("format", "file"):
            table.add_column(name)
        for name in ("size", "seconds", "difference", "tolerance"):
            table.add_column(name, justify="right")
        table.add_column("result", overflow="fold")
        for artefact in self.artefacts:
            made = artefact.status != FAILED
            result = f"{artefact.status}: {artefact.message}" if artefact.message else artefact.status
            table.add_row(
                artefact.format,
                Text(Path(artefact.path).name if artefact.path else "–"),
                readable_size(artefact.bytes) if made else "–",
                f"{artefact.seconds:.1f}",
                "–" if artefact.difference is None else f"{artefact.difference:.1e}",
                f"{artefact.tolerance:.0e}",
                Text(result, style=COLOURS[artefact.status]),
            )
        return table

    def __str__(self):
        import io

        from rich.console import Console

        page = io.StringIO()
        Console(file=page, width=110, color_system=None).print(self)
        return page.getvalue().rstrip("\n")


def in_short(error):
    """An exception in one line: its type and the first line of its message that says something."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras colours some of its messages
    if missing := re.search(r"TF Select ops: (.+)", text):
        return f"TFLite has no built-in operator for {missing[1]}"
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(PREAMBLE)] or ["no message"]
    return f"{type(error).__name__}: {lines[0][:400]}"


def readable_size(count):
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
