"""Initial values of weights that are drawn apart, though one initialiser is given for all.

An initialiser of Keras draws the same numbers each time that it is asked for the same shape.
"""

import keras
from keras import ops


def fresh(initializer, number=0):
    """An initialiser like this one that draws other numbers; if it was given a seed, from that plus `number`."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if isinstance(config.get("seed"), int):
        config["seed"] += number
    return type(initializer).from_config(config)


def side_by_side(initializer, widths):
    """An initialiser of matrices that lie in one, by columns: each is drawn as if it were alone."""

    def draw(shape, dtype=None):
        sizes = [(*shape[:-1], width) for width in widths]
        parts = [fresh(initializer, i)(size, dtype=dtype) for i, size in enumerate(sizes)]
        return ops.concatenate(parts, axis=-1)

    return draw
