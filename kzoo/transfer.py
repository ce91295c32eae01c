"""Taking a trained network to other data: what stays as it is."""

import keras

from kzoo.optimizers.layerwise import matches


def freeze(model, *patterns):
    """Makes layers untrainable. Call it before `compile`.

    Their batch normalisation then also uses the statistics it has, as Keras does for untrainable layers.

    Args:
        model: a built model.
        *patterns: shell patterns of layers' names, such as `"stem*"` and `"stage_*"`; everything but `head` by default.

    Returns:
        The names of the layers with weights that are frozen now.

    Raises:
        ValueError: if a pattern matches no layer, or nothing trainable is left.
    """
    for pattern in patterns:
        if not any(matches(layer.name, pattern) for layer in model.layers):
            names = ", ".join(layer.name for layer in model.layers[:8])
            raise ValueError(f"no layer's name matches. Received: {pattern!r}; layers are {names} …")
    for layer in model.layers:
        fits = any(matches(layer.name, pattern) for pattern in patterns)
        if fits or (not patterns and layer.name != "head"):
            layer.trainable = False
    if not model.trainable_variables:
        raise ValueError(f"nothing trainable is left. Received: patterns={patterns}")
    return [layer.name for layer in model.layers if layer.weights and not layer.trainable]


def freeze_statistics(model):
    """Lets batch normalisation use and keep the statistics it has, in training too. Call it before `compile`.

    For few examples or small batches, whose own statistics are poor. Its scales and offsets stay as they are too, which
    is what Keras means by an untrainable normalisation.

    Returns:
        How many layers that are.
    """
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    return len(norms)


def zero_head(model, name="head"):
    """Sets a new head to zero, so that the first steps are not spent on what it said by chance.

    Kolesnikov et al. (2020), Big Transfer, arXiv:1912.11370, section 3.3, begin every fine-tuning so.

    Args:
        model: a built model.
        name: of the layer.

    Raises:
        ValueError: if there is no such layer.
    """
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ValueError(f"no layer has this name. Received: {name!r}; the last layers are {names[-4:]}")
    head = model.get_layer(name)
    head.set_weights([0 * array for array in head.get_weights()])
