"""`accelerate(model)`: a Keras model at its engine's full speed, with the same classes, file and numbers.

What to do with a layer is decided by its exact class, from the table `RULES` of the engine in use
(`kzoo/backend/*_accelerate.py`). A rule replaces a method on that one layer, or changes in which order its
weights lie in memory, and says in a few words what it did; or it raises `NotImplementedError` with the reason
why the layer stays as it is. Nothing of this is saved: a loaded, cloned or unpickled model is plain again.
"""

import collections
import dataclasses
import importlib

import keras


@dataclasses.dataclass(frozen=True)
class Entry:
    """One layer of the model: its path, its class, and what was done to it or why nothing was."""

    path: str
    layer: str
    text: str


@dataclasses.dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did. `str` of it is a table for people.

    Attributes:
        engine: the engine that was served: `"tensorflow"`, `"torch"` or `"jax"`.
        changed: an `Entry` per layer that now takes a faster way.
        left_alone: an `Entry` per layer that could have been served with other options, with the reason.
            Layers of classes for which no faster way is known are not listed.
    """

    engine: str
    changed: tuple
    left_alone: tuple

    @property
    def summary(self):
        """One line: how many layers of which class were changed, and how many were left alone."""
        counts = collections.Counter(entry.layer for entry in self.changed)
        changed = ", ".join(f"{count} {layer}" for layer, count in counts.items()) or "nothing"
        alone = f"; left alone: {len(self.left_alone)}" if self.left_alone else ""
        return f"on {self.engine}: {changed}{alone}"

    def __str__(self):
        lines = [self.summary]
        for title, entries in (("changed", self.changed), ("left alone", self.left_alone)):
            groups = collections.defaultdict(list)
            for entry in entries:
                groups[entry.layer, entry.text].append(entry.path)
            for (layer, text), paths in groups.items():
                names = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
                lines.append(f"  {title}: {layer} ({names}): {text}")
        return "\n".join(lines)


def accelerate(model):
    """Sends the layers of a model through its engine's fast kernels, in place.

    Works on any built Keras model or layer, also nested ones and ones that others wrote, before or after
    `compile` and `fit`. Layers keep their class, variables, configuration and file; outputs, gradients and
    training agree with the plain model to rounding. Accelerating twice changes nothing more; after loading,
    call it again. On PyTorch, functional models also go through their graph without what Keras asks before each
    layer, which is most of the time of a small batch. On JAX max pooling is served; on TensorFlow no way was found
    that is faster than Keras's own, and nothing is changed.

    Args:
        model: a built `keras.Model` or `keras.Layer`.

    Returns:
        An `Acceleration`: what was changed, and what was left alone and why.

    Raises:
        ValueError: if `model` is not a Keras layer or model, or is not built yet.
    """
    if not isinstance(model, keras.Layer):
        raise ValueError(f"accelerate takes a Keras model or layer. Received: model={model!r}")
    if not model.built:
        raise ValueError(
            f"build the model (call it on data once) before accelerating it. Received: model={model!r}"
        )
    name = keras.config.backend()
    engine = importlib.import_module(f"kzoo.backend.{name}_accelerate")
    changed, left_alone = [], []
    for layer in model._flatten_layers():
        rule = engine.RULES.get(type(layer))
        if rule is None:
            continue
        path = layer.path or layer.name
        try:
            if reason := objection(layer):
                raise NotImplementedError(reason)
            changed.append(Entry(path, type(layer).__name__, rule(layer)))
        except NotImplementedError as error:
            left_alone.append(Entry(path, type(layer).__name__, str(error)))
    engine.finish(model)
    return Acceleration(name, tuple(changed), tuple(left_alone))


def objection(layer):
    """Why no engine can serve this layer, or `None`."""
    if not layer.built:
        return "it is not built"
    if getattr(layer, "quantization_mode", None) is not None:
        return f"it is quantized ({layer.quantization_mode})"
    if getattr(layer, "lora_enabled", False):
        return "LoRA is enabled on it"
    if isinstance(layer, keras.layers.RNN):
        cell = layer.cell
        if layer.unroll:
            return "it is unrolled"
        if cell.recurrent_dropout:
            return "recurrent dropout draws inside the loop"
        if getattr(cell, "implementation", 2) != 2:
            return f"its cell computes gate by gate (implementation={cell.implementation})"
        if getattr(layer, "use_cudnn", "auto") is False:
            return "it was made with use_cudnn=False"
    return None
