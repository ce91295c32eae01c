"""Callbacks beside `keras.callbacks`."""

from kzoo.callbacks.learning_rate_finder import LearningRateFinder
from kzoo.callbacks.monitor import TrainingMonitor
from kzoo.callbacks.resume import Resume
from kzoo.callbacks.weights import Snapshots, StochasticWeightAverage

__all__ = ["LearningRateFinder", "Resume", "Snapshots", "StochasticWeightAverage", "TrainingMonitor"]
