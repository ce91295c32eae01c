"""What a model costs, counted from its layers: multiply-adds of one example."""

import math

import keras
from keras import layers

from kzoo.layers.kernels import KernelWrapper
from kzoo.models.nodes import nodes_of

# Layers whose work is a few operations per value: nobody counts them as multiply-adds.
CHEAP = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.Embedding,
    layers.PReLU,
)


def multiply_adds(model):
    """The multiply-adds of one forward pass of one example.

    Products of convolutions, dense layers and attention are counted, as papers do; normalisation, activations and
    pooling are not. A layer of yours is counted by its own `multiply_adds(input_shape)`, if it has that method.

    Args:
        model: a functional or sequential Keras model with fixed input sizes (the batch excepted).

    Returns:
        An `int`.

    Raises:
        ValueError: for a layer with weights that it cannot count, or a size that is free.
    """
    total = 0
    for layer, shape_in, shape_out in _calls(model):
        total += _of(layer, shape_in, shape_out)
    return total


def _calls(model):
    """Each call of a layer in the graph, nested models opened: layer, input shape and output shape."""
    for node in nodes_of(model):
        if isinstance(node.operation, keras.Model):
            yield from _calls(node.operation)
        elif node.input_tensors:
            yield node.operation, node.input_tensors[0].shape, node.output_tensors[0].shape


def _of(layer, shape_in, shape_out):
    if hasattr(layer, "multiply_adds"):
        return layer.multiply_adds(shape_in)
    if isinstance(layer, KernelWrapper):
        return _of(layer.layer, shape_in, shape_out)
    if isinstance(layer, layers.MultiHeadAttention):
        return _attention(layer, shape_in, shape_out)
    transposed = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
    if isinstance(layer, transposed):
        # Every input position meets the whole kernel.
        return _sites(layer, shape_in) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.Conv3D)):
        return _sites(layer, shape_out) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return _sites(layer, shape_out) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return _sites(layer, shape_out) * kernels
    if isinstance(layer, layers.Dense):
        return _known(layer, shape_in[1:-1]) * math.prod(layer.kernel.shape)
    if getattr(layer, "weights", ()) and not isinstance(layer, CHEAP):
        raise ValueError(
            f"the multiply-adds of {type(layer).__name__} are not known. Received: layer={layer.name!r}"
        )
    return 0


def _attention(layer, shape_in, shape_out):
    """Of self-attention: four projections, and the products of queries with keys and of weights with values."""
    length = _known(layer, shape_in[1:-1])
    projections = (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense)
    kernels = sum(math.prod(part.kernel.shape) for part in projections)
    return length * kernels + length**2 * layer.num_heads * (layer.key_dim + layer.value_dim)


def _sites(layer, shape):
    """How many positions of an image or sequence the kernel is laid on."""
    return _known(layer, shape[2:] if layer.data_format == "channels_first" else shape[1:-1])


def _known(layer, sizes):
    if None in sizes:
        raise ValueError(
            f"give the model fixed sizes to count its multiply-adds. Received: {sizes} at layer={layer.name!r}"
        )
    return math.prod(sizes)
