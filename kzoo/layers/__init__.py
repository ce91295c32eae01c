"""Layers beside `keras.layers`."""

__all__ = []
