"""kzoo: a model zoo for Keras 3 whose code runs unchanged on TensorFlow, PyTorch and JAX.

```python
model = kzoo.create_model("cnn", image_shape=(28, 28, 1), num_classes=10)
loss, gradients = kzoo.value_and_grad(loss_fn, model.trainable_variables)(x, y)
```
"""

import importlib
import os
import sys

__version__ = "0.1.0"

_HOMES = {  # public name: the module that defines it; a module's own name stands for itself
    "Learner": "kzoo.learner",
    "accelerate": "kzoo.accelerate",
    "compare": "kzoo.comparison",
    "create_model": "kzoo.models.catalog",
    "features": "kzoo.models.features",
    "generate": "kzoo.generation",
    "grad": "kzoo.autodiff",
    "list_models": "kzoo.models.catalog",
    "set_seed": "kzoo.seeding",
    "value_and_grad": "kzoo.autodiff",
}
# Rooms whose classes saved files may name: imported with kzoo, so that Keras finds them.
_ROOMS = ("callbacks", "layers", "learners", "losses", "metrics", "optimizers")
_MODULES = (
    *_ROOMS,
    "adapters",
    "data",
    "explain",
    "export",
    "generation",
    "judge",
    "models",
    "ops",
    "plots",
    "predict",
    "rl",
    "scratch",
    "transfer",
    "weights",
)

__all__ = [*sorted(_HOMES), *_MODULES]


def __getattr__(name):
    if name in _HOMES:
        from kzoo import engine

        engine.choose()
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"kzoo.{name}")
    else:
        raise AttributeError(f"module 'kzoo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])


def _is_command():
    """Whether this process is the `kzoo` command, which chooses the engine before it imports Keras."""
    return os.path.basename(sys.argv[0]) == "kzoo" or ("-m", "kzoo") in zip(sys.orig_argv, sys.orig_argv[1:])


if not _is_command():
    # Keras, the core and the classes that saved files may name; nothing heavier.
    for _name in (*_HOMES, *_ROOMS):
        __getattr__(_name)
