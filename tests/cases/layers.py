"""Layers for the parity gate: `"Name"` or `"Name, what is special"` to a function that makes `(layer, inputs)`.

Inputs are NumPy arrays in any nested structure: they are the layer's only positional argument. A third value, a dict,
goes to `check_layer`: `training=False` for a layer that draws at random in training, `kwargs` for its call.
"""

import keras
import numpy as np

from kzoo import layers

CALM = {"training": False}  # draws at random in training


def _normal(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


def _on(shape, make, *options):
    return lambda: (make(), _normal(*shape), *options)


IMAGES, MAPS, ROWS, TOKENS, VECTORS = (2, 8, 8, 3), (2, 6, 6, 8), (4, 5), (2, 6, 8), (2, 3, 3, 4)

LAYERS = {
    "CBAM": _on(MAPS, lambda: layers.CBAM(ratio=2, kernel_size=3)),
    "CapsuleLength": _on(TOKENS, layers.CapsuleLength),
    "CapsuleMask": lambda: (layers.CapsuleMask(), [_normal(*TOKENS), _normal(2, 6)]),
    "Capsules": _on(TOKENS, lambda: layers.Capsules(4, 3)),
    "Capsules, gradient through the routing": _on(
        TOKENS, lambda: layers.Capsules(4, 3, 2, routing_gradient=True)
    ),
    "Capsules, not routed": _on(TOKENS, lambda: layers.Capsules(4, 3, routing=1)),
    "CenterLoss": lambda: (layers.CenterLoss(4, weight=0.1), (_normal(*ROWS), np.array([0, 2, 2, 3]))),
    "ChannelAttention": _on(MAPS, lambda: layers.ChannelAttention(ratio=2)),
    "ClassToken": _on(TOKENS, layers.ClassToken),
    "DropBlock2D": _on(IMAGES, lambda: layers.DropBlock2D(0.2, 3), CALM),
    "DropConnect": _on(ROWS, lambda: layers.DropConnect(keras.layers.Dense(3, "tanh"), 0.5), CALM),
    "DropConnect, recurrent": _on(
        TOKENS, lambda: layers.DropConnect(keras.layers.LSTM(3), 0.5, weight="recurrent_kernel"), CALM
    ),
    "DropPath": _on(ROWS, lambda: layers.DropPath(0.2), CALM),
    "ECA": _on(MAPS, layers.ECA),
    "FourierFeatures": _on(ROWS, lambda: layers.FourierFeatures(6, 2.0, trainable_frequencies=True)),
    "FrequencyEncoding": _on(ROWS, lambda: layers.FrequencyEncoding(3, include_input=True)),
    "GradientReversal": _on(ROWS, layers.GradientReversal),
    "LayerScale": _on(MAPS, lambda: layers.LayerScale(0.1)),
    "NonLocal": _on(MAPS, layers.NonLocal),
    "NonLocal, concatenation": _on(TOKENS, lambda: layers.NonLocal(similarity="concatenation")),
    "NonLocal, dot product": _on(TOKENS, lambda: layers.NonLocal(similarity="dot_product")),
    "NonLocal, gaussian, pooled": _on(MAPS, lambda: layers.NonLocal(similarity="gaussian", pool_size=2)),
    "PatchEmbedding": _on(IMAGES, lambda: layers.PatchEmbedding(5, (4, 2))),
    "PositionEmbedding": _on(TOKENS, lambda: layers.PositionEmbedding(9)),
    "PrimaryCapsules": _on(IMAGES, lambda: layers.PrimaryCapsules(2, 4, 3)),
    "SinePositionEncoding": _on(TOKENS, layers.SinePositionEncoding),
    "SpatialAttention": _on(MAPS, lambda: layers.SpatialAttention(3)),
    "SqueezeExcite": _on(MAPS, lambda: layers.SqueezeExcite(ratio=2)),
    "SqueezeExcite, of sequences": _on(TOKENS, lambda: layers.SqueezeExcite(4, "silu", "tanh")),
    "VariationalConv2D": _on(IMAGES, lambda: layers.VariationalConv2D(4, 3, kl_weight=0.1), CALM),
    "VariationalDense": _on(ROWS, lambda: layers.VariationalDense(3, kl_weight=0.1), CALM),
    "VectorQuantizer": _on(VECTORS, lambda: layers.VectorQuantizer(6)),
    "VectorQuantizerEMA": _on(VECTORS, lambda: layers.VectorQuantizerEMA(6)),
    "WeightNormalization": _on(IMAGES, lambda: layers.WeightNormalization(keras.layers.Conv2D(4, 3))),
    "WeightNormalization, recurrent": _on(TOKENS, lambda: layers.WeightNormalization(keras.layers.GRU(3))),
    "WeightNormalization, transposed": _on(
        VECTORS, lambda: layers.WeightNormalization(keras.layers.Conv2DTranspose(3, 2, 2))
    ),
    "WeightStandardization": _on(IMAGES, lambda: layers.WeightStandardization(keras.layers.Conv2D(4, 3))),
    "WeightStandardization, depthwise": _on(
        IMAGES, lambda: layers.WeightStandardization(keras.layers.DepthwiseConv2D(3, depth_multiplier=2))
    ),
    "WindowAttention": _on(MAPS, lambda: layers.WindowAttention(2, 3)),
    "WindowAttention, shifted and padded": _on(MAPS, lambda: layers.WindowAttention(4, 4, 2, use_bias=False)),
}
