"""Layers that keras.applications leaves without names: they are known by their number."""

import collections
import re


def paths(model):
    """The paths of a Keras model's variables, the names that Keras itself gave counted from the model's own first.

    Keras counts per process (`conv2d_94` in the second model); here it is `conv2d_0` in each, in the order made.
    """
    found = collections.defaultdict(list)
    for layer in model.layers:
        kind, _, number = re.fullmatch(r"(.*?)(_(\d+))?", layer.name).groups()
        if kind.replace("_", "") == type(layer).__name__.lower():
            found[kind].append((int(number or 0), layer.name))
    new = {
        name: f"{kind}_{n}" for kind, layers in found.items() for n, (_, name) in enumerate(sorted(layers))
    }
    for variable in model.variables:
        layer, _, rest = variable.path.partition("/")
        yield f"{new.get(layer, layer)}/{rest}", variable


def numbered(order, kinds=(("conv", "conv2d"), ("norm", "batch_normalization"))):
    """Pairs for `Source.modules`: our layers' names to numbers.

    Args:
        order: `(prefix, number)` of our layers in the order in which keras.applications makes its own.
        kinds: what our names have between the two, and what Keras calls the class.
    """
    numbers = {key: n for n, key in enumerate(order)}

    def name(theirs):
        return lambda prefix, k: f"{theirs}_{numbers[prefix, k]}"

    return tuple((rf"(.*)_{ours}_(\d+)", name(theirs)) for ours, theirs in kinds)
