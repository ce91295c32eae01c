"""Serving: a local server that speaks TensorFlow Serving's protocol, a client for either, and their configuration.

Importing it imports neither TensorFlow nor an engine; nor does the client ever.
"""

import importlib

_HOMES = {
    "Client": "client",
    "ServeError": "errors",
    "Server": "server",
    "serve": "server",
}

__all__ = ["Client", "ServeError", "Server", "serve"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
