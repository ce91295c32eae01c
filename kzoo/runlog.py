"""Reading run logs: what was run, how it ended, and how two runs differ."""

import dataclasses
import json
import os
import platform
import time
from pathlib import Path

NAME = "run.jsonl"  # written by kzoo.callbacks.RunLog


@dataclasses.dataclass
class LoggedRun:
    """One start of a run and what followed.

    Attributes:
        name: the run's folder below the folder of runs.
        start: its first line: configuration, seed, versions, git commit, machine.
        epochs: its epoch lines.
        end: its last line, or `None` if it did not end.
        again: how often the folder was started before.
    """

    name: str
    start: dict
    epochs: list[dict]
    end: dict | None
    again: int = 0

    @property
    def status(self):
        """ "finished", "running" or "stopped": a process of its number may be another by now, on this machine only."""
        if self.end is not None:
            return "finished"
        here = self.start.get("host") == platform.node()
        return "running" if here and _is_alive(self.start.get("process")) else "stopped"

    @property
    def seconds(self):
        """From the first line to the last."""
        if self.end is not None:
            return self.end["seconds"]
        last = self.epochs[-1]["time"] if self.epochs else self.start["time"]
        return _seconds(last) - _seconds(self.start["time"])

    @property
    def figures(self):
        """The figures of the end, or the last epoch's logs."""
        if self.end is not None:
            return self.end["figures"]
        return self.epochs[-1]["logs"] if self.epochs else {}


def read(folder):
    """All runs below a folder, the oldest first. Lines that are not whole are passed over."""
    folder, found = Path(folder), []
    for path in sorted(folder.rglob(NAME)):
        runs = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
                kind = event["event"]
            except (ValueError, KeyError, TypeError):
                continue  # a kill in the middle of a line
            if kind == "start":
                name = str(path.parent.relative_to(folder))
                runs.append(LoggedRun(name, event, [], None, len(runs)))
            elif runs and kind == "epoch":
                runs[-1].epochs.append(event)
            elif runs and kind == "end":
                runs[-1].end = event
        found += runs
    return sorted(found, key=lambda run: run.start["time"])


def interrupted_seconds(folder, configuration):
    """How long a run of this configuration took before it was stopped: all its starts since one that ended."""
    wanted, spent = json.loads(json.dumps(configuration, default=str)), 0.0
    for run in reversed(read(folder)):
        if run.end is not None or run.start.get("configuration") != wanted:
            break
        spent += run.seconds
    return spent


def difference(runs):
    """What the configurations of runs differ in: name to one value per run."""
    flat = [run.start.get("configuration", {}) | {"engine": run.start.get("engine")} for run in runs]
    names = dict.fromkeys(name for one in flat for name in one)
    return {
        name: [one.get(name) for one in flat]
        for name in names
        if any(one.get(name) != flat[0].get(name) for one in flat)
    }


def listing(runs):
    """A table of runs."""
    from rich.table import Table

    table = Table("run", "engine", "started", "status", "epochs", "seconds", "figures")
    for run in runs:
        name = run.name + (f" ({run.again + 1})" if run.again else "")
        figures = "  ".join(f"{key} {_shown(value)}" for key, value in list(run.figures.items())[:3])
        colour = {"finished": "green", "running": "yellow", "stopped": "red"}[run.status]
        started = run.start["time"][:16].replace("T", " ")
        table.add_row(
            name,
            str(run.start.get("engine")),
            started,
            f"[{colour}]{run.status}[/]",
            str(max((epoch["epoch"] for epoch in run.epochs), default="–")),
            f"{run.seconds:,.0f}",
            figures,
        )
    return table


def comparison(runs):
    """A table of runs side by side: what they differ in, then their figures."""
    from rich.table import Table

    table = Table("", *[run.name for run in runs])
    for name, values in difference(runs).items():
        table.add_row(name, *[_shown(value) for value in values])
    commits = [(run.start.get("git") or {}).get("commit") or "–" for run in runs]
    table.add_row("commit", *[commit[:10] for commit in commits])
    table.add_row("seconds", *[f"{run.seconds:,.0f}" for run in runs], end_section=True)
    for name in dict.fromkeys(name for run in runs for name in run.figures):
        table.add_row(name, *[_shown(run.figures.get(name)) for run in runs])
    return table


def _shown(value):
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_alive(process):
    try:
        os.kill(int(process), 0)
    except (TypeError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _seconds(text):
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
