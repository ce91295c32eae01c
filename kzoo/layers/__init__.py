"""Layers beside `keras.layers`."""

from kzoo.layers import activations  # noqa: F401  (files of models name what is in it)
from kzoo.layers.additive_attention import BahdanauAttention
from kzoo.layers.attention import MultiHeadAttention
from kzoo.layers.bias import Bias
from kzoo.layers.cached_attention import CachedAttention
from kzoo.layers.capsules import CapsuleLength, CapsuleMask, Capsules, PrimaryCapsules
from kzoo.layers.cbam import CBAM, ChannelAttention, SpatialAttention
from kzoo.layers.center_loss import CenterLoss
from kzoo.layers.drop_block import DropBlock2D
from kzoo.layers.drop_connect import DropConnect
from kzoo.layers.drop_path import DropPath
from kzoo.layers.eca import ECA
from kzoo.layers.fourier_features import FourierFeatures, FrequencyEncoding
from kzoo.layers.gradient_reversal import GradientReversal
from kzoo.layers.layer_scale import LayerScale
from kzoo.layers.non_local import NonLocal
from kzoo.layers.patch_embedding import ClassToken, PatchEmbedding, PositionEmbedding, SinePositionEncoding
from kzoo.layers.positions import ALiBi, RotaryPosition, T5Position
from kzoo.layers.positions_relative import DisentangledPosition, ShawPosition, TransformerXLPosition
from kzoo.layers.spectral_normalization import SpectralNormalization
from kzoo.layers.squeeze_excite import SqueezeExcite
from kzoo.layers.time_embedding import TimeEmbedding
from kzoo.layers.variational import VariationalConv2D, VariationalDense
from kzoo.layers.vector_quantizer import VectorQuantizer, VectorQuantizerEMA
from kzoo.layers.weight_normalization import WeightNormalization
from kzoo.layers.weight_standardization import WeightStandardization
from kzoo.layers.window_attention import WindowAttention

__all__ = [
    "CBAM",
    "ECA",
    "ALiBi",
    "BahdanauAttention",
    "Bias",
    "CachedAttention",
    "CapsuleLength",
    "CapsuleMask",
    "Capsules",
    "CenterLoss",
    "ChannelAttention",
    "ClassToken",
    "DisentangledPosition",
    "DropBlock2D",
    "DropConnect",
    "DropPath",
    "FourierFeatures",
    "FrequencyEncoding",
    "GradientReversal",
    "LayerScale",
    "MultiHeadAttention",
    "NonLocal",
    "PatchEmbedding",
    "PositionEmbedding",
    "PrimaryCapsules",
    "RotaryPosition",
    "ShawPosition",
    "SinePositionEncoding",
    "SpatialAttention",
    "SpectralNormalization",
    "SqueezeExcite",
    "T5Position",
    "TimeEmbedding",
    "TransformerXLPosition",
    "VariationalConv2D",
    "VariationalDense",
    "VectorQuantizer",
    "VectorQuantizerEMA",
    "WeightNormalization",
    "WeightStandardization",
    "WindowAttention",
]
