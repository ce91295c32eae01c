"""Which engine Keras runs on, and which optional packages are there: decided before Keras is imported.

Keras fixes its engine when it is first imported. This module therefore imports neither Keras nor an engine.
"""

import contextlib
import difflib
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

ENGINES = ("tensorflow", "torch", "jax")


def installed():
    """The engines that can be imported here, in the order of `ENGINES`."""
    return tuple(name for name in ENGINES if importlib.util.find_spec(name) is not None)


def preferred():
    """The engine in `keras.json`, or `None`. Keras writes that file itself: it is no more than a preference."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        return json.loads(Path(home, "keras.json").read_text()).get("backend")
    except (OSError, ValueError):
        return None


def choose(name=None):
    """Sets the engine for this process and returns its name.

    Without a name it is that of `KERAS_BACKEND`; else the preferred one, if it is installed; else the first that is.

    Raises:
        ValueError: if the name is none of the three, or Keras already runs on another engine.
        ImportError: if the engine, or every engine, is missing. The message names the extra to install.
    """
    if "keras" in sys.modules:
        current = sys.modules["keras"].config.backend()
        if name not in (None, current):
            raise ValueError(f"Keras already runs on {current}. Received: backend={name!r}")
        return current
    there = installed()
    if not there:
        extras = ", ".join(f"pip install 'kzoo[{engine}]'" for engine in ENGINES)
        raise ImportError(
            f"kzoo needs an engine, and none of {', '.join(ENGINES)} is installed. Use one of: {extras}"
        )
    name = name or os.environ.get("KERAS_BACKEND")
    if not name:
        name = preferred() if preferred() in there else there[0]
    if name not in ENGINES:
        raise ValueError(f"the backend must be one of {', '.join(ENGINES)}. Received: backend={name!r}")
    if name not in there:
        raise ImportError(
            f"the backend {name} is not installed: pip install 'kzoo[{name}]'. Installed: {', '.join(there)}"
        )
    os.environ["KERAS_BACKEND"] = name
    return name


def require(module, extra):
    """Imports an optional module, or raises an `ImportError` that names the extra bringing it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise
        package = module.split(".")[0]
        raise ImportError(f"{package} is not installed: pip install 'kzoo[{extra}]'", name=package) from error


@contextlib.contextmanager
def others_left_out():
    """Inside, a library that imports whatever engines it finds finds only those that are already in use."""
    absent = [name for name in ENGINES if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # None: an import fails as if it were not installed
    try:
        yield
    finally:
        for name in absent:
            if sys.modules.get(name) is None:
                del sys.modules[name]


def lightest():
    """The engine that starts soonest, for what needs Keras but no engine in particular; `None` if there is none."""
    return next((name for name in ("jax", "torch", "tensorflow") if name in installed()), None)


def unknown(kind, name, known):
    """The error for a name that is not there: it lists what is, nearest names first."""
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ValueError(f"there is no {kind} {name!r}: {hint}there are: {', '.join(known)}. Received: {name!r}")
