"""Models for the parity gate: name to a function that makes one. A family's first tiny network stands for all."""

import importlib
import sys
from pathlib import Path

import kzoo

VISION = Path(__file__).parents[1] / "vision"


def sources():
    """Family to its module of cases: `CASES`, `PARAMETERS` and `TINY`."""
    sys.path[:0] = [str(VISION)] if str(VISION) not in sys.path else []
    names = sorted(path.stem for path in (VISION / "sources").glob("*.py"))
    return {name: importlib.import_module(f"sources.{name}") for name in names}


def _plain(name):
    return lambda: kzoo.create_model(name, image_shape=(8, 8, 3), num_classes=4, dropout=0.0)


def _tiny(name, arguments):
    return lambda: kzoo.create_model(name, **{"num_classes": 4, "dropout": 0.0, **arguments})


# Each size of these is quick.
MODELS = {name: _plain(name) for family in ("mlp", "cnn") for name in kzoo.list_models(family=family)}
for _module in sources().values():
    _name = next(iter(_module.TINY))
    MODELS[_name] = _tiny(_name, _module.TINY[_name])


def without_a_case():
    """Families of which no model is in `MODELS`."""
    from kzoo.models import catalog

    known = {catalog.family_of(name) for name in MODELS}
    return sorted(set(catalog.FAMILIES) - known)
