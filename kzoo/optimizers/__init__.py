"""Optimizers beside `keras.optimizers`."""

from kzoo.optimizers.named import NamedOptimizers

__all__ = ["NamedOptimizers"]
