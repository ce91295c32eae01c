"""Which models there are: `create_model` makes one by name, `list_models` lists them."""

import fnmatch
import importlib
import inspect

from kzoo.engine import unknown

# A family is a module with `SIZES` (model name: arguments) and a function of the module's own name.
FAMILIES = {
    "mlp": "kzoo.models.vision.mlp",
    "cnn": "kzoo.models.vision.cnn",
    "resnet": "kzoo.models.vision.resnet",
}


def list_models(pattern="*", family=None):
    """The names of the models that match.

    Args:
        pattern: as in a shell: `"cnn*"`.
        family: only this family's.
    """
    if family is not None and family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    names = [name for key in ([family] if family else FAMILIES) for name in _module(key).SIZES]
    return sorted(fnmatch.filter(names, pattern))


def create_model(name, *, image_shape, num_classes, **kwargs):
    """Makes a model by its name.

    Args:
        name: one of `list_models()`.
        image_shape: `(height, width, channels)`.
        num_classes: number of logits; 0 gives the features before the head.
        **kwargs: anything else the family's function takes, e.g. `dropout=0.1`; overrides the size's own.

    Returns:
        A built `keras.Model`.
    """
    family = family_of(name)
    module = _module(family)
    build = getattr(module, family)
    known = [p.name for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key in kwargs:
        if key not in known:
            raise unknown(f"argument of {name}", key, known)
    return build(image_shape, num_classes, **{"name": name, **module.SIZES[name], **kwargs})


def family_of(name):
    """The family of a model.

    Raises:
        ValueError: if there is no such model. The nearest names are suggested.
    """
    for family in FAMILIES:
        if name in _module(family).SIZES:
            return family
    raise unknown("model", name, list_models())


def describe(name):
    """A model's one-line description: the first line of its family's module and what sets this size apart."""
    module = _module(family_of(name))
    size = ", ".join(f"{key}={value}" for key, value in module.SIZES[name].items())
    return (
        f"{module.__doc__.splitlines()[0].rstrip('.')} ({size})" if size else module.__doc__.splitlines()[0]
    )


def _module(family):
    return importlib.import_module(FAMILIES[family])
