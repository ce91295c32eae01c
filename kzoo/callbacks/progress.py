"""A moving bar for people, a line per epoch for files."""

import time

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class RichProgress(keras.callbacks.Callback):
    """Shows the whole training and the current epoch as bars, with the figures so far; use with `fit(verbose=0)`.

    Where the output is no terminal it prints a line per epoch. Figures are fetched from the device a few times a
    second and not after each batch.

    Args:
        console: a `rich.console.Console`, if not one of standard output.
        refresh: seconds between two looks at the figures.
    """

    def __init__(self, console=None, refresh=0.2):
        super().__init__()
        self.console, self.refresh = console or Console(), refresh
        self._progress = None

    def on_train_begin(self, logs=None):
        self._begin = time.perf_counter()
        epochs = self.params.get("epochs") or 1
        if not self.console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self.console,
        )
        self._whole = self._progress.add_task("epochs", total=epochs, figures="")
        self._part = self._progress.add_task("batches", total=None, figures="")
        self._progress.start()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_begin = self._shown = time.perf_counter()
        if self._progress:
            self._progress.update(self._whole, completed=epoch)
            self._progress.reset(self._part, total=self.params.get("steps"))

    def on_train_batch_end(self, batch, logs=None):
        if self._progress is None:
            return
        now = time.perf_counter()
        if now - self._shown >= self.refresh:
            self._shown = now
            self._progress.update(self._part, completed=batch + 1, figures=figures(logs))

    def on_epoch_end(self, epoch, logs=None):
        epochs = self.params.get("epochs") or 1
        seconds = time.perf_counter() - self._epoch_begin
        line = f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}  {seconds:6.1f} s  {figures(logs)}"
        self.console.print(line, markup=False, highlight=False)
        if self._progress:
            self._progress.update(self._whole, completed=epoch + 1)

    def on_train_end(self, logs=None):
        if self._progress:
            self._progress.stop()
            self._progress = None


def figures(logs):
    """Names and numbers in one line."""
    return "  ".join(f"{name} {float(value):.4g}" for name, value in (logs or {}).items())
