"""A run's log: a JSON object a line, that a kill leaves readable."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

import keras

from kzoo.files import check_writable
from kzoo.machine import machine
from kzoo.runlog import NAME


class RunLog(keras.callbacks.Callback):
    """Writes how a training was started, what each epoch gave and how it ended, for `kzoo runs`.

    The first line has the event `start`: configuration, seed, versions, git commit, machine and time; then one
    `epoch` each with its logs and seconds; `end` has the figures. Lines are added and never changed: a run that is
    started again writes another `start` below.

    Args:
        path: the file, or a folder to put `run.jsonl` in.
        configuration: what the training depends on, as JSON; its `seed` is the seed.
        **more: what else to put into the first line, e.g. `recipe`.
    """

    def __init__(self, path, configuration=None, **more):
        super().__init__()
        path = Path(path)
        self.path = path if path.suffix else path / NAME
        check_writable(self.path.parent)
        self.configuration, self.more = dict(configuration or {}), more
        self._started = self._ended = False

    def start(self):
        """Writes the first line, once."""
        if self._started:
            return
        from kzoo.runs import versions

        self._started, self._begin = True, time.perf_counter()
        engine = self.more.get("engine") or keras.config.backend()
        self._write(
            event="start",
            **self.more | {"engine": engine},
            configuration=self.configuration,
            seed=self.configuration.get("seed"),
            versions=versions(engine),
            git=git_state(),
            machine=machine(),
            host=platform.node(),
            process=os.getpid(),
        )

    def end(self, figures):
        """Writes the last line: a run's figures."""
        self.start()
        self._ended = True
        seconds = round(time.perf_counter() - self._begin, 1)
        self._write(event="end", figures={k: _plain(v) for k, v in figures.items()}, seconds=seconds)

    def on_train_begin(self, logs=None):
        self.start()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self._epoch_begin, 2)
        logs = {name: _plain(value) for name, value in (logs or {}).items()}
        self._write(event="epoch", model=self.model.name, epoch=epoch + 1, seconds=seconds, logs=logs)

    def _write(self, **line):
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")} | line
        # One write of one line: a kill leaves at most an unfinished last one, which reading passes over.
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")


def git_state():
    """The commit of the working directory and whether files differ from it, or `None` outside a repository."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "changed": bool(_git("status", "--porcelain", "-uno"))} if commit else None


def _git(*arguments):
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _plain(value):
    return value if isinstance(value, str | int | bool) or value is None else float(value)
