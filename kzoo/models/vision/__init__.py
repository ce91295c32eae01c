"""Image models."""

from kzoo.models.vision.cnn import cnn
from kzoo.models.vision.mlp import mlp

__all__ = ["cnn", "mlp"]
