"""Go on after a crash where the last finished epoch ended, with the same numbers as if nothing had happened."""

import json
import os
import shutil
import warnings
from pathlib import Path

import keras
import numpy as np

from kzoo import backend
from kzoo.files import check_writable, write_json
from kzoo.seeding import seed_states


class Resume(keras.callbacks.Callback):
    """Saves a training after every epoch and continues it when `fit` is called again.

    Beyond `keras.callbacks.BackupAndRestore` it keeps the seeds of random layers, PyTorch's own generator, the history
    and the epoch of the data, so that an interrupted training ends in the same weights. A state is written aside and
    renamed: a kill at any moment leaves the last whole one. It is removed when `fit` ends, unless it is to be kept.

    Args:
        folder: where the states go.
        data: a `kzoo.data.Batches`, or anything with an `epoch`, whose order of batches follows from it.
        configuration: what the training depends on, as JSON. A state left by another configuration is not used.
        best: a name of the logs, such as `"val_accuracy"`: when `fit` ends, the model gets the weights of the epoch in
            which it was greatest, the first of several.
        keep: whether the last state stays when `fit` ends, so that what comes after it can be gone on with too: a kill
            then costs no training. `clear()` removes it.

    Attributes:
        history: log name to its values, from the first epoch on, also those of interrupted calls.
    """

    def __init__(self, folder, data=None, configuration=None, best=None, keep=False):
        super().__init__()
        self.folder = Path(folder)
        self.data = data
        self.configuration = json.loads(json.dumps(configuration))
        self.best, self.keep = best, keep
        self.history = {}

    def on_train_begin(self, logs=None):
        check_writable(self.folder)
        if not self.model.built:
            raise ValueError(
                "the model must be built before fit so that its state can be restored: give it an Input"
            )
        self.history = {}
        states = sorted(path for path in self.folder.glob("epoch-*") if path.is_dir())
        if not states:
            return
        saved = json.loads((states[-1] / "training.json").read_text())
        if saved["configuration"] != self.configuration:
            warnings.warn(
                f"{states[-1]} is of another configuration and is not used: training starts anew",
                stacklevel=2,
            )
            shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
            return
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        _load(self.model, states[-1], "state")
        with np.load(states[-1] / "random.npz") as arrays:
            for i, seed in enumerate(seed_states(self.model)):
                seed.assign(arrays[f"seed.{i}"])
            if (key := f"engine.{backend.name}") in arrays:
                backend.set_random_state(arrays[key])
        self.history = saved["history"]
        self.model._initial_epoch = saved["epoch"]

    def on_epoch_begin(self, epoch, logs=None):
        if self.data is not None:
            self.data.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        final, aside = self.folder / f"epoch-{epoch + 1:05}", self.folder / f".epoch-{epoch + 1:05}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        _save(self.model, aside, "state")
        self._keep_best(aside, logs)
        arrays = {f"seed.{i}": variable.numpy() for i, variable in enumerate(seed_states(self.model))}
        if (state := backend.get_random_state()) is not None:
            arrays[f"engine.{backend.name}"] = state
        np.savez(aside / "random.npz", **arrays)
        training = {"epoch": epoch + 1, "configuration": self.configuration, "history": self.history}
        write_json(aside / "training.json", training)
        os.replace(aside, final)
        for older in self.folder.glob("epoch-*"):
            if older != final:
                shutil.rmtree(older)

    def _keep_best(self, aside, logs):
        """Puts the weights of the best epoch so far beside the state, this epoch's or those that were there."""
        if self.best is None:
            return
        if self.best not in self.history:
            raise ValueError(
                f"best must be one of the logs, {', '.join(self.history)}. Received: {self.best!r}"
            )
        *before, now = self.history[self.best]
        if not before or now > max(before):
            _save(self.model, aside, "best")
        else:
            (last,) = self.folder.glob("epoch-*")
            for kept in last.glob("best.*"):
                shutil.copyfile(kept, aside / kept.name)

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None
        if self.best is not None and (states := list(self.folder.glob("epoch-*"))):
            _load(self.model, states[-1], "best")
        if not self.keep:
            self.clear()

    def clear(self):
        """Removes the states."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _save(model, folder, name):
    """Writes the weights, and those of layers with LoRA's adapters apart: Keras saves these merged into the kernel."""
    model.save_weights(folder / f"{name}.weights.h5")
    if found := _adapted(model):
        np.savez(folder / f"{name}.adapted.npz", **{key: variable.numpy() for key, variable in found.items()})


def _load(model, folder, name):
    model.load_weights(folder / f"{name}.weights.h5")
    if found := _adapted(model):
        with np.load(folder / f"{name}.adapted.npz") as arrays:
            for key, variable in found.items():
                variable.assign(arrays[key])


def _adapted(model):
    """Name to each variable of layers with adapters."""
    layers = [layer for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False)]
    return {f"{i}.{j}": v for i, layer in enumerate(layers) for j, v in enumerate(layer.variables)}
