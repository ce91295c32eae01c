"""One engine's process of a comparison: runs the recipe or model with a `fit` that is watched from outside."""

import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np

from kzoo import backend, recipes, seeding
from kzoo.data import Batches


class Watch(keras.callbacks.Callback):
    """Carries the initial weights over and records the loss and the time of every step.

    The logs of a step are means since the epoch began; the step's own loss is taken back out of them.
    """

    def __init__(self, weights_file, sizes):
        super().__init__()
        self.weights_file = weights_file
        self.sizes = sizes
        self.losses, self.seconds, self.samples = [], [], []

    def on_train_begin(self, logs=None):
        if not self.model.built:
            raise ValueError(
                "the model must be built before fit to take another engine's weights: give it an Input"
            )
        if self.weights_file.exists():
            with np.load(self.weights_file) as arrays:
                weights = [arrays[key] for key in arrays.files]
            if [w.shape for w in weights] != [tuple(w.shape) for w in self.model.weights]:
                raise ValueError(
                    "the engines built models of different weights: the recipe must not depend on the engine"
                )
            self.model.set_weights(weights)
        else:
            np.savez(self.weights_file, *self.model.get_weights())
        self._clock = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self._count, self._sum = 0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        mean = float(logs["loss"] if "loss" in logs else next(iter(logs.values())))
        now = time.perf_counter()
        size = self.sizes(batch)
        total = mean * (self._count + size)
        self.losses.append((total - self._sum) / size)
        self._count, self._sum = self._count + size, total
        self.seconds.append(now - self._clock)
        self.samples.append(size)
        self._clock = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self._clock = time.perf_counter()


def watched_fit(scratch, deterministic, watches):
    """A replacement of `keras.Model.fit` that adds a `Watch`."""
    fit, seen = keras.Model.fit, []

    def wrapper(self, x=None, y=None, batch_size=None, callbacks=None, **kwargs):
        if deterministic:
            for layer in self._flatten_layers():
                # Every random layer of Keras names its strength `rate`, and 0 switches it off.
                if isinstance(getattr(layer, "rate", None), float):
                    layer.rate = 0.0
        if not any(self is model for model in seen):
            seen.append(self)
        # A later fit of the same model goes on with its own weights.
        first = len(watches) < len(seen)
        name = f"weights-{len(seen)}.npz" if first else f"own-{backend.name}-{len(watches)}.npz"
        watch = Watch(Path(scratch) / name, _sizes(x, batch_size))
        watches.append(watch)
        return fit(self, x, y, batch_size=batch_size, callbacks=[*(callbacks or []), watch], **kwargs)

    return wrapper


def _sizes(x, batch_size):
    """How many samples batch number i holds; 1 for all where that cannot be known."""
    if isinstance(x, Batches):
        total, size = x.num_examples, x.batch_size
    elif hasattr(x, "shape"):
        total, size = len(x), batch_size or 32
    else:
        return lambda i: 1
    return lambda i: min(size, total - i * size)


def main(job_file):
    """Runs the job and writes what was measured."""
    job = json.loads(Path(job_file).read_text())
    watches = []
    keras.Model.fit = watched_fit(job["scratch"], job["deterministic"], watches)
    if "recipe" in job:
        figures = recipes.load(job["recipe"])(**job["arguments"])
    else:
        figures = _fit_function(job)
    if not watches:
        raise ValueError("the recipe called no fit: there is nothing to compare")
    losses = [loss for watch in watches for loss in watch.losses]
    seconds = [second for watch in watches for second in watch.seconds[1:]] or watches[0].seconds
    samples = [n for watch in watches for n in watch.samples[1:]] or watches[0].samples
    step = statistics.median(seconds)
    result = {
        "losses": losses,
        "initial_loss": losses[0],
        "final_loss": losses[-1],
        "figures": {
            name: value for name, value in figures.items() if isinstance(value, float) and name != "seconds"
        },
        "first_step_s": watches[0].seconds[0],
        "step_ms": step * 1e3,
        "samples_per_s": statistics.median(samples) / step,
        "peak_memory_mb": backend.peak_memory() / 1e6,
    }
    Path(job["result"]).write_text(json.dumps(result))


def _fit_function(job):
    seeding.set_seed(job["seed"])
    spec = importlib.util.spec_from_file_location("compared", job["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules["compared"] = module
    spec.loader.exec_module(module)
    model = getattr(module, job["function"])()
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ValueError(f"{job['function']} must return a compiled keras.Model. Received: {type(model)}")
    with np.load(Path(job["scratch"]) / "data.npz") as data:
        batches = Batches(data["x"], data["y"], job["batch_size"], seed=job["seed"])
    history = model.fit(batches, epochs=job["epochs"], verbose=0).history
    return {name: float(values[-1]) for name, values in history.items()}


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        # The last line of stderr is what the comparison reports.
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        raise SystemExit(1) from None
