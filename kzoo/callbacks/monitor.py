"""Watches gradients and activations: what vanishes, explodes or has died."""

import warnings

import keras
import numpy as np
from keras import ops

from kzoo import autodiff, backend


class TrainingMonitor(keras.callbacks.Callback):
    """Looks at the gradients and activations of one batch after every epoch, warns and draws.

    The batch is shown in training mode, and whatever that changes (batch-norm statistics, seeds) is put back: training
    goes on as if nobody had looked.

    Args:
        x: the inputs of the batch.
        y: its targets.
        every: the epochs between two looks.
        vanishing: a variable whose gradient's root mean square is below this share of the largest is warned of.
        exploding: one above this value is.
        dead: the share of units of a layer that give 0 for the whole batch which is warned of.
        path: the PNG to draw after each look, if any.

    Attributes:
        looks: one dict per look: `epoch`, `gradients` (path of the variable to the root mean square), `activations`
            (name of the layer to the standard deviation of its outputs), `dead` (name to share of units).
        warned: what was warned of: pairs of a kind and a name.
    """

    def __init__(self, x, y, every=1, vanishing=1e-6, exploding=1e3, dead=0.5, path=None):
        super().__init__()
        self.x, self.y, self.every = x, y, every
        self.vanishing, self.exploding, self.dead, self.path = vanishing, exploding, dead, path
        self.looks, self.warned = [], []

    def on_train_begin(self, logs=None):
        if getattr(self.model, "_compile_loss", None) is None:
            raise ValueError("the monitor needs a model that is compiled with a loss")
        self.looks, self.warned = [], []
        self._inside = None
        self._layers = []
        if isinstance(self.model, keras.Sequential | keras.Model) and getattr(self.model, "inputs", None):
            self._layers = [layer for layer in self.model.layers if _gives_activations(layer)]
        if self._layers:
            self._inside = keras.Model(self.model.inputs, [layer.output for layer in self._layers])

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.look(epoch)

    def look(self, epoch):
        """Looks once and returns what was seen."""
        model = self.model
        x, y = keras.tree.map_structure(ops.convert_to_tensor, (self.x, self.y))
        before = [(v, ops.convert_to_numpy(v)) for v in model.non_trainable_variables]
        random_state = backend.get_random_state()

        def loss():
            return model.compute_loss(x, y, model(x, training=True), None)

        variables = model.trainable_variables
        gradients = autodiff.grad(loss, variables)()
        for variable, value in before:
            variable.assign(value)
        if random_state is not None:
            backend.set_random_state(random_state)
        seen = {
            "epoch": epoch,
            "gradients": {v.path: _rms(g) for v, g in zip(variables, gradients)},
            "activations": {},
            "dead": {},
        }
        if self._inside is not None:
            outputs = keras.tree.flatten(self._inside(x, training=False))
            for layer, output in zip(self._layers, outputs):
                values = np.asarray(ops.convert_to_numpy(output), "float32")
                seen["activations"][layer.name] = float(values.std())
                if values.min() == 0:  # rectified: what never leaves 0 learns nothing
                    seen["dead"][layer.name] = float(
                        (values.reshape(-1, values.shape[-1]).max(0) == 0).mean()
                    )
        self.looks.append(seen)
        self._warn(seen)
        if self.path is not None:
            self.plot(self.path)
        return seen

    def _warn(self, seen):
        sizes = seen["gradients"]
        largest = max((size for size in sizes.values() if np.isfinite(size)), default=0.0)
        found = []
        for path, size in sizes.items():
            if not np.isfinite(size) or size > self.exploding:
                found.append(("exploding", path, f"the gradient of {path} has grown to {size:.2g}"))
            elif size < self.vanishing * largest:
                found.append(
                    ("vanishing", path, f"the gradient of {path} is {size:.2g}, the largest {largest:.2g}")
                )
        for name, share in seen["dead"].items():
            if share >= self.dead:
                found.append(("dead", name, f"{share:.0%} of the units of {name} give 0 for every example"))
        for kind, name, message in found:
            if (kind, name) not in self.warned:
                self.warned.append((kind, name))
                warnings.warn(f"epoch {seen['epoch'] + 1}, {kind}: {message}", stacklevel=4)

    def plot(self, path, title="Gradients and activations"):
        """Draws what was seen by epoch, as PNG."""
        from kzoo import plots

        return plots.health(self.looks, path, title)


def _rms(gradient):
    values = np.asarray(ops.convert_to_numpy(gradient), "float64")
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _gives_activations(layer):
    if isinstance(layer, keras.layers.InputLayer):
        return False
    activates = getattr(layer, "activation", None) not in (None, keras.activations.linear)
    rectifiers = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
    return activates or isinstance(layer, rectifiers) or hasattr(layer, "kernel")
