"""One recipe or model on every engine, from the same weights and batches: how equal, how fast, how large.

Each engine runs in a process of its own. In it `keras.Model.fit` takes the first engine's initial weights and records
the loss of every step; the recipe knows nothing of it.
"""

import dataclasses
import inspect
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from kzoo import engine
from kzoo.files import check_writable, write_json
from kzoo.recipes import find, runs_folder


@dataclasses.dataclass
class EngineResult:
    """One engine's side of a comparison. Times are in seconds and milliseconds, memory in MB of 10**6 bytes."""

    engine: str
    losses: list[float] = dataclasses.field(default_factory=list)
    initial_loss: float | None = None
    final_loss: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    first_step_s: float | None = None
    step_ms: float | None = None
    samples_per_s: float | None = None
    peak_memory_mb: float | None = None
    divergence: float | None = None
    error: str | None = None


@dataclasses.dataclass
class Comparison:
    """The results of all engines; print it for the table. `divergence` is the largest |loss − first engine's loss|."""

    title: str
    results: list[EngineResult]
    folder: Path | None = None

    @property
    def failed(self):
        """The engines that were tried and failed; one that is not installed was not tried."""
        return [result.engine for result in self.results if result.error and result.error != _ABSENT]

    def __rich__(self):
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        done = [result for result in self.results if not result.error]
        figures = list(dict.fromkeys(name for result in done for name in result.figures))[:1]
        columns = (
            "engine",
            "first step",
            "step",
            "samples/s",
            "memory",
            "first loss",
            "final loss",
            *figures,
        )
        table = Table(*columns, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
        table.title, table.caption = (
            self.title,
            f"picture: {self.folder}/comparison.png" if self.folder else None,
        )
        table.add_column("divergence")
        for r in done:
            table.add_row(
                r.engine,
                f"{r.first_step_s:.1f} s",
                f"{r.step_ms:.1f} ms",
                f"{r.samples_per_s:,.0f}",
                f"{r.peak_memory_mb:,.0f} MB",
                f"{r.initial_loss:.5f}",
                f"{r.final_loss:.5f}",
                *[f"{r.figures[name]:.4f}" if name in r.figures else "" for name in figures],
                f"{r.divergence:.1e}",
            )
        return Group(table, *[Text(f"{r.engine}: {r.error}", "red") for r in self.results if r.error])

    def __str__(self):
        from rich.console import Console

        console = Console(width=160, no_color=True)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


_ABSENT = "not installed"


def compare(
    subject,
    *,
    engines=engine.ENGINES,
    arguments=None,
    x=None,
    y=None,
    epochs=1,
    batch_size=32,
    seed=0,
    deterministic=True,
    folder=None,
    progress=None,
):
    """Trains the same thing on every engine and compares.

    Args:
        subject: a recipe's name or file, or a function at the top of a module that returns a compiled, built model;
            then `x`, `y`, `epochs` and `batch_size` say what it is trained on.
        engines: which; the first one that runs gives the initial weights. One that is not installed, or fails, is
            reported as such and the others go on.
        arguments: a recipe's arguments.
        deterministic: switches dropout off, since the engines draw different masks.
        folder: where `comparison.json` and `comparison.png` go; `runs/compare/<subject>` if not given.
        progress: called with a line of text now and then.

    Returns:
        A `Comparison`.
    """
    for name in engines:
        if name not in engine.ENGINES:
            raise engine.unknown("engine", name, engine.ENGINES)
    arguments = dict(arguments or {})
    title, target = _target(subject)
    if callable(subject) and x is None:
        raise ValueError("a function that builds a model is compared on data: give x and y. Received: x=None")
    detail = "-".join(Path(str(arguments[key])).name for key in ("data", "model") if arguments.get(key))
    folder = check_writable(folder or runs_folder() / "compare" / "-".join(filter(None, [title, detail])))
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        if x is not None:
            np.savez(scratch / "data.npz", x=x, y=y)
        job = {
            **target,
            "arguments": arguments,
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": seed,
            "deterministic": deterministic,
            "scratch": str(scratch),
        }
        for name in engines:
            if progress:
                progress(f"{title} on {name} …")
            results.append(_run(name, job, scratch))
    _measure_divergence(results)
    comparison = Comparison(f"{title} {detail}".strip(), results, folder)
    write_json(
        folder / "comparison.json",
        {"title": comparison.title, "results": [dataclasses.asdict(r) for r in results]},
    )
    if any(not result.error for result in results):
        from kzoo import plots

        plots.comparison(
            [dataclasses.asdict(r) for r in results], folder / "comparison.png", title=comparison.title
        )
    return comparison


def _target(subject):
    if not callable(subject):
        if subject not in find() and not Path(subject).is_file():
            raise engine.unknown("recipe", subject, find())
        return Path(subject).stem, {"recipe": str(subject)}
    file = inspect.getsourcefile(subject)
    if subject.__qualname__ != subject.__name__ or subject.__name__ == "<lambda>" or file is None:
        raise ValueError(
            "the function must stand at the top of a file, so that each engine's process can import it. "
            f"Received: {subject.__qualname__}"
        )
    return subject.__name__, {"file": file, "function": subject.__name__}


def _run(name, job, scratch):
    """Runs one engine's process and reads what it measured."""
    if name not in engine.installed():
        return EngineResult(name, error=_ABSENT)
    job_file, result_file = scratch / f"{name}-job.json", scratch / f"{name}.json"
    job_file.write_text(json.dumps({**job, "result": str(result_file)}))
    environment = os.environ | {
        "KERAS_BACKEND": name,
        "KZOO_RUNS": str(scratch / "runs"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    done = subprocess.run(
        [sys.executable, "-m", "kzoo.probe", str(job_file)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0 or not result_file.exists():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        return EngineResult(name, error=f"failed (exit code {done.returncode}): {lines[-1]}")
    return EngineResult(name, **json.loads(result_file.read_text()))


def _measure_divergence(results):
    done = [result for result in results if not result.error]
    for result in done:
        steps = min(len(result.losses), len(done[0].losses))
        difference = np.abs(np.subtract(result.losses[:steps], done[0].losses[:steps]))
        result.divergence = float(difference.max(initial=0.0))
