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


@keras.saving.register_keras_serializable("tests")
class Across(keras.Layer):
    """A layer of two arguments as one of a list; of several outputs, the first."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, shapes):
        if not self.layer.built:  # as it is when it was loaded
            self.layer.build(*shapes)
        self.built = True

    def call(self, inputs):
        outputs = self.layer(*inputs)
        return outputs[0] if isinstance(outputs, tuple) else outputs

    def compute_output_shape(self, shapes):
        shape = self.layer.compute_output_shape(*shapes)
        return shape[0] if isinstance(shape[0], tuple) else shape

    def get_config(self):
        return super().get_config() | {"layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"layer": keras.saving.deserialize_keras_object(config["layer"])})


def _attention(position=None, **options):
    """Four heads on tokens."""
    return lambda: layers.MultiHeadAttention(4, position=None if position is None else position(), **options)


def _across(layer, first, second):
    return lambda: (Across(layer()), [_normal(*first), _normal(*second)])


SEEN = (np.arange(72).reshape(2, 6, 6) % 7 > 1) & (np.arange(6) != 2)[:, None]  # nothing by the third query
PARTLY = {"kwargs": {"attention_mask": SEEN}}
IMAGES, MAPS, ROWS, TOKENS, VECTORS = (2, 8, 8, 3), (2, 6, 6, 8), (4, 5), (2, 6, 8), (2, 3, 3, 4)

LAYERS = {
    "ALiBi": _on(TOKENS, _attention(layers.ALiBi, causal=True)),
    "BahdanauAttention": _across(lambda: layers.BahdanauAttention(5), (2, 3, 4), (2, 6, 8)),
    "BahdanauAttention, of one query": _across(lambda: layers.BahdanauAttention(5), (2, 4), (2, 6, 8)),
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
    "DisentangledPosition": _on(TOKENS, _attention(lambda: layers.DisentangledPosition(3)), PARTLY),
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
    "Bias": _on(MAPS, layers.Bias),
    "LayerScale": _on(MAPS, lambda: layers.LayerScale(0.1)),
    "CachedAttention": lambda: (
        Across(layers.CachedAttention(layers.MultiHeadAttention(2, causal=True))),
        [_normal(2, 3, 8), _normal(2, 7, 2, 4), _normal(2, 7, 2, 4)[::-1], np.array([2, 2], "int32")],
    ),
    "MultiHeadAttention": _on(TOKENS, _attention(), PARTLY),
    "MultiHeadAttention, across": _across(
        lambda: layers.MultiHeadAttention(2, 3, num_key_value_heads=1, use_bias=False), (2, 3, 4), (2, 6, 8)
    ),
    "MultiHeadAttention, causal and grouped": _on(TOKENS, _attention(causal=True, num_key_value_heads=2)),
    "MultiHeadAttention, dropout": _on(TOKENS, _attention(dropout=0.5), CALM),
    "MultiHeadAttention, window": _on((2, 70, 8), _attention(window=3, causal=True)),
    "NonLocal": _on(MAPS, layers.NonLocal),
    "NonLocal, concatenation": _on(TOKENS, lambda: layers.NonLocal(similarity="concatenation")),
    "NonLocal, dot product": _on(TOKENS, lambda: layers.NonLocal(similarity="dot_product")),
    "NonLocal, gaussian, pooled": _on(MAPS, lambda: layers.NonLocal(similarity="gaussian", pool_size=2)),
    "PatchEmbedding": _on(IMAGES, lambda: layers.PatchEmbedding(5, (4, 2))),
    "PositionEmbedding": _on(TOKENS, lambda: layers.PositionEmbedding(9)),
    "PrimaryCapsules": _on(IMAGES, lambda: layers.PrimaryCapsules(2, 4, 3)),
    "RotaryPosition": _on(TOKENS, _attention(layers.RotaryPosition, causal=True)),
    "RotaryPosition, interleaved": _on(TOKENS, _attention(lambda: layers.RotaryPosition(interleaved=True))),
    "ShawPosition": _on(TOKENS, _attention(lambda: layers.ShawPosition(3)), PARTLY),
    "SinePositionEncoding": _on(TOKENS, layers.SinePositionEncoding),
    "SpatialAttention": _on(MAPS, lambda: layers.SpatialAttention(3)),
    "SpectralNormalization": _on(IMAGES, lambda: layers.SpectralNormalization(keras.layers.Conv2D(4, 3))),
    "SpectralNormalization, transposed": _on(
        VECTORS,
        lambda: layers.SpectralNormalization(keras.layers.Conv2DTranspose(3, 2, 2), power_iterations=2),
    ),
    "SqueezeExcite": _on(MAPS, lambda: layers.SqueezeExcite(ratio=2)),
    "SqueezeExcite, of sequences": _on(TOKENS, lambda: layers.SqueezeExcite(4, "silu", "tanh")),
    "T5Position": _on(TOKENS, _attention(lambda: layers.T5Position(8, 6), scale=1.0)),
    "TimeEmbedding": lambda: (layers.TimeEmbedding(6), np.array([0, 3, 17, 999], "int32")),
    "TransformerXLPosition": _on(TOKENS, _attention(layers.TransformerXLPosition, causal=True)),
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
