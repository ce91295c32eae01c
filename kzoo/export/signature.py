"""A Keras model's inputs and outputs by name: the one description that every exported format shares.

A name is the key where the model takes or returns a dict, the layer's name where somebody gave one, and
`input`, `output` (`input_0`, `input_1` …) otherwise. Names are made of letters, digits and underscores, so
that every format can carry them.
"""

import re
from collections import Counter
from dataclasses import dataclass

import keras

from kzoo.export.runners import Tensor


@dataclass(frozen=True)
class Inputs:
    """What a model is called on: named tensors, and the nested structure that they are packed into."""

    tensors: tuple[Tensor, ...]
    structure: object

    def pack(self, values):
        """The model's argument, from a dict of values by name."""
        return keras.tree.pack_sequence_as(self.structure, [values[tensor.name] for tensor in self.tensors])


def inputs_of(model):
    """The `Inputs` of a built Keras model: functional, sequential or subclassed.

    Raises:
        ValueError: if the model has not been built, so that its shapes are unknown.
    """
    flat = getattr(model, "inputs", None)
    if flat and isinstance(model, keras.Sequential):
        structure, named = 0, [((), _given_name(flat[0]), flat[0].shape, flat[0].dtype)]
    elif flat:
        structure = model.input
        named = [
            (path, _given_name(tensor), tensor.shape, tensor.dtype)
            for path, tensor in keras.tree.flatten_with_path(structure)
        ]
    else:
        structure = _built_shapes(model)
        dtype = model.input_dtype or keras.config.floatx()
        leaves = keras.tree.flatten_with_path(structure)
        named = [(path, None, leaf.shape, dtype) for path, leaf in leaves]
    names = _unique([_name(path, given) for path, given, _, _ in named], "input")
    # A sequential or subclassed model that was built by calling it remembers the batch size of that call.
    graph = flat and not isinstance(model, keras.Sequential)
    tensors = []
    for name, (_, _, shape, dtype) in zip(names, named):
        dtype = keras.backend.standardize_dtype(dtype)
        if dtype == "string":
            raise ValueError(f"models on strings cannot be exported. Received: input {name!r} of strings")
        shape = tuple(None if size is None else int(size) for size in shape)
        tensors.append(Tensor(name, shape if graph else (None, *shape[1:]), dtype))
    return Inputs(tuple(tensors), structure)


def named_outputs(model, outputs):
    """The tensors of `outputs`, a result of calling `model`, as a flat dict by name."""
    leaves = keras.tree.flatten_with_path(outputs)
    graph = getattr(model, "outputs", None) or []
    given = [_given_name(tensor) for tensor in graph] if len(graph) == len(leaves) else [None] * len(leaves)
    names = _unique([_name(path, name) for (path, _), name in zip(leaves, given)], "output")
    return {name: leaf for name, (_, leaf) in zip(names, leaves)}


@dataclass(frozen=True)
class _Shape:
    """A leaf that `keras.tree` does not look into, as it does into a tuple."""

    shape: tuple


def _built_shapes(model):
    """The structure of shapes that a subclassed model was built with."""
    shapes = (model.get_build_config() or {}) if model.built else {}
    shapes = shapes.get("input_shape", shapes.get("shapes_dict"))
    if not shapes:
        raise ValueError(
            "the model must be built before it is exported, and take one argument (a tensor, or a dict or "
            f"list of tensors): give it an `Input`, or call it on a batch. Received: model={model.name!r}"
        )
    return _wrap_shapes(shapes)


def _wrap_shapes(shapes):
    if isinstance(shapes, dict):
        return {key: _wrap_shapes(value) for key, value in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return _Shape(tuple(shapes))
    return [_wrap_shapes(value) for value in shapes]


def _given_name(tensor):
    """The name somebody gave to the layer that made `tensor`, or `None` where Keras made it up."""
    operation = tensor._keras_history.operation
    # Keras makes `input_layer_1` of `InputLayer`: the class in snake case, and a number.
    stem = re.sub(r"_\d+$", "", operation.name).replace("_", "")
    return None if stem == type(operation).__name__.lower() else operation.name


def _name(path, given):
    keys = [str(key) for key in path]
    if given is not None and all(key.isdigit() for key in keys):
        keys = [given]
    name = re.sub(r"[^A-Za-z0-9_]", "_", "_".join(keys))
    return "" if name.replace("_", "").isdigit() else name


def _unique(names, default):
    """Fills empty names in, numbers those that occur twice, and starts each with a letter."""
    if names == [""]:
        return [default]
    names = [name or f"{default}_{index}" for index, name in enumerate(names)]
    names = [name if name[0].isalpha() else f"{default}_{name.lstrip('_')}" for name in names]
    counts, seen = Counter(names), Counter()
    result = []
    for name in names:
        result.append(f"{name}_{seen[name]}" if counts[name] > 1 else name)
        seen[name] += 1
    return result
