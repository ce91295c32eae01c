"""From a checkpoint of another library to a model: which reader, which family, which file."""

import functools
import importlib
from pathlib import Path

import h5py
import keras

from kzoo.engine import require, unknown
from kzoo.models.catalog import kind_of
from kzoo.weights.convert import fit, turned
from kzoo.weights.numbered import paths
from kzoo.weights.torch_files import read as read_torch


def sources_of(family):
    """Source name to `Source`, for the libraries whose checkpoints of this family can be read."""
    try:
        return importlib.import_module(f"kzoo.weights.{family}").SOURCES
    except ModuleNotFoundError as error:
        if error.name != f"kzoo.weights.{family}":
            raise
        return {}


def source_of(family, name):
    """One library's `Source` for a family.

    Raises:
        ValueError: if the library is unknown, or has no such family.
    """
    known = sources_of(family)
    if name not in known:
        raise unknown(f"source of weights for {family}", name, known)
    return known[name]


def read_checkpoint(path, builder=None):
    """Name to NumPy array of a checkpoint: `.safetensors`, PyTorch's `.pth`, `.pt` and `.bin`, or Keras's `.h5`.

    Args:
        path: the file.
        builder: for `.h5`: the name in `keras.applications` of what the file belongs to.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, of another kind, or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no such checkpoint. Received: {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".h5", ".hdf5"):
        return _read_keras(path, builder)
    if path.suffix in (".pth", ".pt", ".bin", ".th"):
        return read_torch(path)
    raise ValueError(f"a checkpoint ends in .safetensors, .pth, .pt, .bin or .h5. Received: {path}")


def _read_safetensors(path):
    safetensors = require("safetensors", "weights")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"the file {path} is truncated or is not safetensors ({error})") from error


def _read_keras(path, builder):
    """Through Keras's own model, since the names in these files are not always the layers'."""
    if builder is None:
        raise ValueError(f"no model of keras.applications is known for this file. Received: {path}")
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            names = [
                name.decode() if isinstance(name, bytes) else name for name in group.attrs["layer_names"]
            ]
            last = next(name for name in reversed(names) if len(group[name].attrs["weight_names"]))
            classes = group[last][group[last].attrs["weight_names"][-1]].shape[0]
    except (OSError, KeyError) as error:
        raise ValueError(f"the file {path} is truncated or holds no Keras weights ({error})") from error
    whole = "notop" not in path.name.replace("_", "")
    model = keras_builder(builder)(
        weights=None,
        include_top=whole,
        **({"classes": classes, "classifier_activation": None} if whole else {}),
    )
    try:
        model.load_weights(path)
    except ValueError as error:
        raise ValueError(f"the file {path} does not fit keras.applications.{builder}: {error}") from error
    return {path: keras.ops.convert_to_numpy(variable) for path, variable in paths(model)}


def keras_builder(text):
    """The function of `keras.applications` that `"MobileNet"` or `"MobileNet(alpha=0.5)"` means."""
    name, _, options = text.rstrip(")").partition("(")
    options = dict(option.split("=") for option in options.split(",") if option)
    return functools.partial(
        getattr(keras.applications, name), **{key: float(value) for key, value in options.items()}
    )


def load_weights(model, family, source, path, builder=None):
    """Gives a model the weights of another library's checkpoint.

    Args:
        model: a model of the family, made with the source's arguments (`kzoo.create_model` sees to that).
        family: as `kzoo.list_models(family=...)` takes it.
        source: `"torchvision"`, `"timm"`, `"transformers"` or `"keras"`.
        path: the checkpoint.
        builder: for `"keras"`: the name in `keras.applications` of what the file belongs to.

    Returns:
        A `kzoo.weights.convert.Converted`.
    """
    arrays = read_checkpoint(path, builder)
    classifier = kind_of(family) == "vision"
    return fit(model, turned(model, source_of(family, source), arrays, str(path), classifier), str(path))
