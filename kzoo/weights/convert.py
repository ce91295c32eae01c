"""Carries weights over from another library's checkpoint: names matched, axes turned.

A family's `Source` says how our layers are called there. Everything else follows from the layers' classes. Sizes may
differ where that has a meaning: the number of classes, the channels of the image, its size where positions are learned.
"""

import re
from dataclasses import dataclass, field, replace

import keras
import numpy as np
from keras import layers

from kzoo.models.features import grid


@dataclass(frozen=True)
class Source:
    """How a library's checkpoints of a family map to our model.

    Attributes:
        modules: pairs of a pattern for our layer's path and the name of the module there: a string, or a function of
            the pattern's groups (numbers as `int`). The first full match counts. Or a function of our model that gives
            these pairs, where the names there depend on the other blocks.
        tensors: triples of a pattern for a variable's path, the name of the tensor there (as above), and a function
            of `(array, variable)` that gives ours; looked at before `modules`. Where ours is made of several, a tuple
            of names, and a function of the list of their arrays.
        arguments: of our family's function, where the library's network differs from our default.
        ignored: pattern of names in the checkpoint that are of no use to us.
        layout: `"torch"`: weights as PyTorch stores them; `"keras"`: as Keras does.
        renamed: pairs of a pattern and its replacement, applied to the checkpoint's names in this order: how the
            library called things before. Or a function of the checkpoint that gives these pairs.
    """

    modules: object = ()
    tensors: tuple = ()
    arguments: dict = field(default_factory=dict)
    ignored: str = r".*(num_batches_tracked|seed_generator_state)"
    layout: str = "torch"
    renamed: object = ()


@dataclass(frozen=True)
class Converted:
    """What was done.

    Attributes:
        loaded: paths of the variables that have the checkpoint's values.
        adapted: those whose values were resized, with why.
        fresh: those that keep their initial values: a head that the checkpoint has for another number of classes, or
            has not.
    """

    loaded: tuple
    adapted: dict
    fresh: tuple


def _convolution(a, variable):
    return a.transpose(2, 3, 1, 0) if a.ndim == 4 else a  # (out, in, h, w) to (h, w, in, out)


def _depthwise(a, variable):
    return a.transpose(2, 3, 0, 1)


def _dense(a, variable):
    return a.reshape(a.shape[0], -1).T


def _same(a, variable):
    return a


def _pointwise(a, variable):
    """As it is; a 1x1 convolution of one pixel is a dense layer."""
    return a[0, 0] if a.shape[:2] == (1, 1) and a.ndim == len(variable.shape) + 2 else a


NORM = {"gamma": ("weight", _same), "beta": ("bias", _same)}
STATISTICS = {"moving_mean": ("running_mean", _same), "moving_variance": ("running_var", _same)}
TORCH = {  # class: variable: name of the tensor there, how to turn it
    layers.Conv2D: {"kernel": ("weight", _convolution), "bias": ("bias", _same)},
    layers.DepthwiseConv2D: {"kernel": ("weight", _depthwise), "bias": ("bias", _same)},
    layers.Dense: {"kernel": ("weight", _dense), "bias": ("bias", _same)},
    layers.BatchNormalization: NORM | STATISTICS,
    layers.LayerNormalization: NORM,
    layers.GroupNormalization: NORM,
}
HEADS = ("head/", "head_distillation/")  # a classifier's variables


def turned(model, source, arrays, origin="the checkpoint", classifier=False):
    """A checkpoint under our names and in our layout: variable path to array, of the checkpoint's sizes.

    Args:
        model: a model of the family that `source` is for; its variables need no values.
        source: a `Source`.
        arrays: name to NumPy array.
        origin: what to call the checkpoint in messages.
        classifier: whether the model's head is a classifier's, which a checkpoint of features lacks.

    Raises:
        ValueError: if names are missing or unexpected. The message lists the first of them.
    """
    if callable(source.modules):
        source = replace(source, modules=source.modules(model))
    for pattern, replacement in source.renamed(arrays) if callable(source.renamed) else source.renamed:
        arrays = {re.sub(pattern, replacement, name): array for name, array in arrays.items()}
    ours, missing, used = {}, [], set()
    for layer in model._flatten_layers():
        for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
            if not keras.backend.is_float_dtype(variable.dtype):
                continue  # the states of random generators
            name, turn = _counterpart(layer, variable, source)
            names = (name,) if isinstance(name, str) else name
            if absent := [name for name in names if name not in arrays]:
                missing += [(variable, name) for name in absent]
                continue
            used.update(names)
            found = [np.asarray(arrays[name]) for name in names]
            ours[variable.path] = np.asarray(turn(found[0] if isinstance(name, str) else found, variable))
    ignored = re.compile(source.ignored)
    unexpected = [name for name in arrays if name not in used and not ignored.fullmatch(name)]
    if not any(layer.name == "head" for layer in model.layers):  # features: the classifier is not asked for
        heads = tuple(_module(name.rstrip("/"), source) for name in HEADS)
        unexpected = [name for name in unexpected if not name.startswith(heads)]
    if classifier and not any(path.startswith(HEADS) for path in ours):
        missing = [(variable, name) for variable, name in missing if not variable.path.startswith(HEADS)]
    if missing or unexpected:
        raise ValueError(_mismatch(origin, missing, unexpected, arrays))
    return ours


def fit(model, values, origin="the checkpoint"):
    """Assigns the values of `turned` to a model, once all are known to fit.

    A head that the values lack as a whole keeps its initial ones, and so does one for another number of classes. Sizes
    may also differ in the first convolution, which is adapted to other channels (`adapt`), and in positions, which are
    resized to another image size.

    Returns:
        A `Converted`.

    Raises:
        ValueError: if a variable has no value, or another shape. The model is then as it was.
    """
    planned, adapted, fresh = [], {}, []
    headless = not any(path.startswith(HEADS) for path in values)
    for variable in model.variables:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        if headless and variable.path.startswith(HEADS):
            fresh.append(variable.path)
            continue
        if variable.path not in values:
            raise ValueError(f"{origin} has no value for {variable.path}")
        array, shape = values[variable.path], tuple(variable.shape)
        if array.shape == shape:
            planned.append((variable, array))
        elif variable.path.startswith("head") and array.shape[:-1] == shape[:-1]:
            fresh.append(variable.path)
        else:
            array, adapted[variable.path] = adapt(array, variable, origin, grid(model))
            planned.append((variable, array))
    for variable, array in planned:
        variable.assign(np.asarray(array, "float32"))
    return Converted(tuple(v.path for v, _ in planned), adapted, tuple(fresh))


def carry_over(trained, model):
    """Gives a model the weights of a trained one of the same architecture; as in `fit`, some sizes may differ.

    Returns:
        A `Converted`.
    """
    values = {variable.path: keras.ops.convert_to_numpy(variable) for variable in trained.variables}
    return fit(model, values, f"the model {trained.name!r}")


def _counterpart(layer, variable, source):
    """The name of a variable's tensor in the checkpoint, and the function that turns it."""
    path = variable.path
    for pattern, name, turn in source.tensors:
        if match := re.fullmatch(pattern, path):
            return _filled(name, match), turn
    layer_path, _, leaf = path.rpartition("/")
    module = _module(layer_path, source)
    if source.layout == "keras":
        return f"{module}/{leaf}", _pointwise
    for kind, leaves in TORCH.items():
        if type(layer) is kind and leaf in leaves:
            there, turn = leaves[leaf]
            return f"{module}.{there}", turn
    return f"{module}.{leaf}", _same


def _module(layer_path, source):
    for pattern, name in source.modules:
        if match := re.fullmatch(pattern, layer_path):
            return _filled(name, match)
    return layer_path


def _filled(name, match):
    if isinstance(name, str):
        return match.expand(name)
    return name(*(int(group) if group and group.isdigit() else group for group in match.groups()))


def adapt(array, variable, origin, grid=None):
    """An array of another size made to fit where that has a meaning, and what was done.

    A first convolution for colour serves other channels: one channel sums the colours, several repeat them, scaled so
    that the sum stays. Positions are resized to `grid`, the rows and columns of the model's patches, or to a square.
    """
    shape = tuple(variable.shape)
    first = variable.path.startswith(("stem", "patch"))
    if first and array.ndim == 4 and array.shape[:2] + array.shape[3:] == shape[:2] + shape[3:]:
        before, after = array.shape[2], shape[2]
        if after == 1:
            return array.sum(axis=2, keepdims=True), f"{before} channels summed"
        repeated = np.take(array, np.arange(after) % before, axis=2) * (before / after)
        return repeated, f"{before} channels repeated for {after}"
    if "position" in variable.path:
        from kzoo.weights.positions import resized

        grid = None if "relative" in variable.path else grid
        return resized(array, shape, grid), f"positions resized from {array.shape} to {shape}"
    raise ValueError(
        f"the weights of {variable.path} do not fit: the model needs {shape}, {origin} has {array.shape}. "
        "Use the arguments that the checkpoint was made with"
    )


def _mismatch(origin, missing, unexpected, arrays):
    lines = [f"{origin} does not fit the model: it has {len(arrays)} tensors;"]
    if missing:
        names = ", ".join(f"{name} (for {variable.path})" for variable, name in missing[:5])
        lines.append(f"{len(missing)} are missing, the first: {names};")
    if unexpected:
        lines.append(f"{len(unexpected)} are unexpected, the first: {', '.join(unexpected[:5])};")
    return " ".join(lines).rstrip(";") + ". Is it a checkpoint of this model and this library?"
