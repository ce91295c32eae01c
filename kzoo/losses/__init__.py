"""Losses beside `keras.losses`."""

__all__ = []
