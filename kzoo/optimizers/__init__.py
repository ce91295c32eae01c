"""Optimizers beside `keras.optimizers`, each around any of Keras's; and learning-rate schedules."""

from kzoo.optimizers import schedules
from kzoo.optimizers.layerwise import LayerwiseLearningRates, layer_decay
from kzoo.optimizers.lookahead import Lookahead
from kzoo.optimizers.named import NamedOptimizers
from kzoo.optimizers.normalized import NormalizedGradient

__all__ = [
    "LayerwiseLearningRates",
    "Lookahead",
    "NamedOptimizers",
    "NormalizedGradient",
    "layer_decay",
    "schedules",
]
