"""A network's maps at each stage, as detectors and segmenters want them."""

import re

import keras
from keras import ops

from kzoo.layers import PatchEmbedding
from kzoo.models.nodes import functional

STAGE = re.compile(r"stem|stage_\d+")


def features(model):
    """The outputs of the layers named `stem`, `stage_1`, `stage_2`, …

    Args:
        model: a functional model, such as `kzoo.create_model` makes.

    Returns:
        A `keras.Model` from the same input to a dictionary: stage name to maps, `(b, h / stride, w / stride, c)`.
        It shares the model's weights. A transformer's tokens are laid out as the image's patches were.

    Raises:
        ValueError: if the model has no such layers.
    """
    model = functional(model)
    outputs = {layer.name: layer.output for layer in model.layers if STAGE.fullmatch(layer.name)}
    if not outputs:
        raise ValueError(
            "the model has no layers named stem, stage_1 and so on: choose outputs yourself with keras.Model. "
            f"Received: model={model.name!r}"
        )
    places = grid(model)
    for name, tokens in outputs.items():
        if len(tokens.shape) == 3 and places is not None:
            rows, columns = places
            extra = tokens.shape[1] - rows * columns  # a class token stands before the patches
            outputs[name] = ops.reshape(tokens[:, extra:], (-1, rows, columns, tokens.shape[-1]))
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def grid(model):
    """Rows and columns of the patches that a transformer cuts its image into, or `None` if it is none."""
    patches = next((layer for layer in model.layers if isinstance(layer, PatchEmbedding)), None)
    return None if patches is None else patches.projection.compute_output_shape(patches.input.shape)[1:3]


def strides(model):
    """Stage name to how many pixels of the image lie between neighbours on its map.

    Raises:
        ValueError: if the model's image size is free.
    """
    height = model.inputs[0].shape[1]
    if height is None:
        raise ValueError(f"strides need a fixed image size. Received: model={model.name!r}")
    found = features(model).output
    return {name: round(height / maps.shape[1]) for name, maps in found.items()}
