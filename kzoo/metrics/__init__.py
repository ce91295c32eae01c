"""Metrics beside `keras.metrics`."""

__all__ = []
