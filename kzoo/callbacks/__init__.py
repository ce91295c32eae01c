"""Callbacks beside `keras.callbacks`."""

from kzoo.callbacks.resume import Resume

__all__ = ["Resume"]
