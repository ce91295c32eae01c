"""`.keras` archives: loading one, and saving a model so that the worker process can load it."""

import importlib
import json
import os
import re
import sys
import zipfile
from pathlib import Path

import keras

from kzoo.backend.state import tensorflow_left_out
from kzoo.export.report import ExportError

OTHER_PRECISIONS = ("float16", "bfloat16", "float64")
# What each engine can do with a model that no other process can load.
OWN_ROUTES = {
    "tensorflow": "tf.saved_model.save or model.export(path) writes a SavedModel from this very process",
    "torch": "torch.export.export writes a .pt2 from this very process",
    "jax": "model.export(path) writes a SavedModel from this very process",
}
GUARD = re.compile(r"^if __name__ == ['\"]__main__['\"]", re.MULTILINE)


def load_keras(path):
    """The Keras model in a `.keras` file, or in `model.keras` of a run folder, without its training state.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is not a `.keras` archive, or Keras cannot load it.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise ValueError(f"the folder holds no model.keras. Received: {path}")
        path = path / "model.keras"
    if not path.exists():
        raise FileNotFoundError(f"no such file or directory. Received: {path}")
    try:
        modules = _modules_named(path)
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise ValueError(f"not a .keras archive, or a truncated one. Received: {path}") from None
    for module in modules:
        if module.startswith("kzoo."):  # classes are registered when their module is imported
            importlib.import_module(module)
    try:
        return keras.saving.load_model(path, compile=False)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # Keras raises whatever the layer at fault does
        raise ValueError(f"Keras cannot load {path}: {str(error).strip() or type(error).__name__}") from error


def save(model, path):
    """Writes a `.keras` file."""
    with tensorflow_left_out():
        keras.saving.save_model(model, path)


def in_float32(model):
    """The model itself, or its copy in float32 if a layer computes or stores in another precision."""
    layers = list(model._flatten_layers())
    dtypes = {layer.compute_dtype for layer in layers} | {layer.variable_dtype for layer in layers}
    if not dtypes.intersection(OTHER_PRECISIONS):
        return model
    with tensorflow_left_out():
        config = _replace_precision(keras.saving.serialize_keras_object(model))
    copy = keras.saving.deserialize_keras_object(config, safe_mode=False)
    copy.set_weights(model.get_weights())
    return copy


def modules_needed(path):
    """The modules whose classes and functions an archive names, so that another process can import them: name to file.

    Only modules that this process has imported are listed: a file cannot make anybody import more.

    Raises:
        ExportError: if a class stands in a notebook, or in a main script that would do its work again when
            it is imported.
    """
    needed = {}
    for name in _modules_named(path):
        if name.split(".")[0] == "keras" or name not in sys.modules:
            continue
        file = getattr(sys.modules[name], "__file__", None)
        if name == "__main__" and not (file and GUARD.search(Path(file).read_text(encoding="utf-8"))):
            raise ExportError(
                "the worker process cannot import a class from this main script or notebook: move it into a "
                'module, or put what the script does under `if __name__ == "__main__":`. Unproven, but without '
                f"either: {own_route()}. Received: {file}"
            )
        needed[name] = file and str(Path(file).resolve())
    return needed


def import_modules(names):
    """Imports modules that define classes of a model, looking in the working directory too: name to file.

    Raises:
        ImportError: if there is none of that name, or it fails.
    """
    files = {}
    for name in (names,) if isinstance(names, str) else names:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name.split(".")[0] or os.getcwd() in sys.path:
                raise
            sys.path.append(os.getcwd())  # the `kzoo` command does not look there
            module = importlib.import_module(name)
        file = getattr(module, "__file__", None)
        files[name] = file and str(Path(file).resolve())
    return files


def own_route():
    """What the engine of this process offers for a model that only this process knows."""
    return OWN_ROUTES[keras.config.backend()]


def _modules_named(path):
    with zipfile.ZipFile(path) as archive:
        pending = [json.loads(archive.read("config.json"))]
    modules = set()
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if item.get("class_name") == "function":  # a registered one, by its name
                modules.add(_module_of(item.get("config")))
            elif "class_name" in item:
                modules.add(item.get("module") or _module_of(item.get("registered_name")))
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return sorted(module for module in modules if isinstance(module, str))


def _module_of(registered_name):
    """The module of a registered class or function; Keras does not write it down where it is the main
    script, or for a function."""
    found = keras.saving.get_registered_object(registered_name) if isinstance(registered_name, str) else None
    return getattr(found, "__module__", None)


def _replace_precision(config):
    if isinstance(config, list | tuple):
        return [_replace_precision(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        name = config["config"]["name"].removeprefix("mixed_")
        return {**config, "config": {"name": "float32"}} if name in OTHER_PRECISIONS else config
    return {
        key: "float32" if key == "dtype" and value in OTHER_PRECISIONS else _replace_precision(value)
        for key, value in config.items()
    }
