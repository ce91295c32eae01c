"""Models for the parity gate: name to a function that makes one. A family's first tiny network stands for all."""

import functools
import importlib
import sys
from pathlib import Path

from cases import diffusion, generative

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
# Language models: name to what makes them small. Of one family the three cells differ, and are all computed.
TEXT = {
    "makemore_bigram": {},
    "makemore_mlp": dict(context_length=3, dim=4, hidden_dim=6),
    "makemore_wavenet": dict(context_length=4, dim=4, hidden_dim=6),
    "makemore_rnn": dict(dim=4, hidden_dim=5),
    "makemore_gru": dict(dim=4, hidden_dim=5, depth=2),
    "makemore_lstm": dict(dim=4, hidden_dim=5),
    "text_bilstm": dict(num_classes=3, dim=4, hidden_dim=5),
    "bert_tiny": dict(dim=8, depth=1, num_heads=2, max_sequence_length=8, dropout=0.0),
    # The root of 16 is exact in float32, in which engines may hold the factor of a Rescaling.
    "translation_small": dict(dim=16, depth=1, num_heads=2, dropout=0.0),
    "makemore_transformer": dict(dim=8, depth=2, num_heads=2, context_length=7),
    "gpt2": dict(dim=8, depth=2, num_heads=2, max_sequence_length=7),
}


def tiny_text(name):
    """A language model of five symbols."""
    return kzoo.create_model(name, vocabulary_size=5, **TEXT[name])


MODELS |= {name: functools.partial(tiny_text, name) for name in TEXT}
MODELS |= {name: functools.partial(generative.network, name) for name in generative.SIZES}
MODELS["diffusion_unet_small"] = functools.partial(diffusion.network, (4, 4, 2), 4)


def without_a_case():
    """Families of which no model is in `MODELS`."""
    from kzoo.models import catalog

    known = {catalog.family_of(name) for name in MODELS}
    return sorted(set(catalog.FAMILIES) - known)
