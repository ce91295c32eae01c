"""Callbacks beside `keras.callbacks`."""

from kzoo.callbacks.evaluate import Evaluate
from kzoo.callbacks.learning_rate_finder import LearningRateFinder
from kzoo.callbacks.monitor import TrainingMonitor
from kzoo.callbacks.progress import RichProgress
from kzoo.callbacks.resume import Resume
from kzoo.callbacks.run_log import RunLog
from kzoo.callbacks.tensorboard import TensorBoard
from kzoo.callbacks.unfreezing import ProgressiveUnfreezing
from kzoo.callbacks.weights import Snapshots, StochasticWeightAverage

__all__ = [
    "Evaluate",
    "LearningRateFinder",
    "ProgressiveUnfreezing",
    "Resume",
    "RichProgress",
    "RunLog",
    "Snapshots",
    "StochasticWeightAverage",
    "TensorBoard",
    "TrainingMonitor",
]
