"""Folds batch normalisation into the layer before it: the same function of the input with fewer operators.

At inference `gamma (W x + b - mean) / sqrt(variance + epsilon) + beta` is a convolution with other weights. Jacob et
al. (2018), arXiv:1712.05877, section 3.2.
"""

import keras
import numpy as np
from keras import layers

from kzoo.models.nodes import functional, nodes_of

# Layers that take a normalisation in, and the axis of their kernel that runs over the outputs.
OUTPUT_AXIS = {
    layers.Conv1D: -1,
    layers.Conv2D: -1,
    layers.Conv3D: -1,
    layers.Conv1DTranspose: -2,
    layers.Conv2DTranspose: -2,
    layers.Conv3DTranspose: -2,
    layers.SeparableConv1D: -1,
    layers.SeparableConv2D: -1,
    layers.DepthwiseConv1D: None,
    layers.DepthwiseConv2D: None,
    layers.Dense: -1,
}


def fold_batch_norm(model):
    """A copy of a functional or sequential model for inference, without the normalisations that can be folded.

    A `BatchNormalization` is folded where it alone reads the output of a convolution or dense layer without
    activation, over the channels. The others stay. Nested models are folded too.

    Args:
        model: a built functional or sequential `keras.Model`.

    Returns:
        A new model with the same inputs, outputs and layer names (but for the layers that are gone).

    Raises:
        ValueError: for a subclassed model, whose graph is not known.
    """
    graph = functional(model)
    pairs = _pairs(graph)  # the layer before: the normalisation
    gone = {id(norm) for norm in pairs.values()}
    copies = {}

    def clone(layer):
        if isinstance(layer, keras.Model):
            copy = fold_batch_norm(layer)
        else:
            config = layer.get_config()
            if layer in pairs:
                config["use_bias"] = True
            copy = layer.__class__.from_config(config)
        copies[id(copy)] = layer
        return copy

    def call(copy, *args, **kwargs):
        return args[0] if id(copies.get(id(copy))) in gone else copy(*args, **kwargs)

    # Inputs of our own, because those that Keras would make are named after tensors, not after layers.
    inputs = keras.tree.map_structure(_input_like, graph.input)
    folded = keras.models.clone_model(graph, inputs, clone_function=clone, call_function=call)
    for copy in folded.layers:
        layer = copies.get(id(copy))
        if layer in pairs:
            copy.set_weights(_folded_weights(layer, pairs[layer]))
        elif layer is not None and not isinstance(layer, keras.Model):
            copy.set_weights(layer.get_weights())
    return folded


def _input_like(tensor):
    return keras.Input(
        batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name
    )


def _pairs(graph):
    """The layers that take a normalisation in, each with that."""
    nodes = nodes_of(graph)
    readers, calls = {}, {}
    outputs = {id(tensor) for tensor in keras.tree.flatten(graph.outputs)}
    for node in nodes:
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node.operation)
    found = {}
    for node in nodes:
        layer = node.operation
        if type(layer) not in OUTPUT_AXIS or calls[id(layer)] != 1:
            continue
        if layer.activation is not keras.activations.linear:
            continue
        (output,) = node.output_tensors
        next_one = readers.get(id(output), [])
        if len(next_one) != 1 or id(output) in outputs or calls[id(next_one[0])] != 1:
            continue
        norm = next_one[0]
        channels_first = getattr(layer, "data_format", None) == "channels_first"
        channel = 1 if channels_first else len(output.shape) - 1
        if type(norm) is layers.BatchNormalization and norm.axis % len(output.shape) == channel:
            found[layer] = norm
    return found


def _folded_weights(layer, norm):
    """The weights of `layer` with `norm` taken in: all but the last kernel as they were, that one, the bias."""
    mean, variance = (np.asarray(v.numpy(), "float64") for v in (norm.moving_mean, norm.moving_variance))
    gamma = np.asarray(norm.gamma.numpy(), "float64") if norm.scale else 1.0
    beta = np.asarray(norm.beta.numpy(), "float64") if norm.center else 0.0
    factor = gamma / np.sqrt(variance + norm.epsilon)
    *before, kernel = layer.get_weights()[: -1 if layer.use_bias else None]
    bias = np.asarray(layer.bias.numpy(), "float64") if layer.use_bias else 0.0
    axis = OUTPUT_AXIS[type(layer)]
    if axis is None:  # depthwise: the outputs are channels times multiplier, the last two axes
        scale = factor.reshape(kernel.shape[-2:])
    else:
        scale = factor if axis == -1 else factor[:, None]
    return [
        *before,
        (kernel * scale).astype(kernel.dtype),
        (beta + (bias - mean) * factor).astype(kernel.dtype),
    ]
