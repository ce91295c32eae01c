"""The learning-rate range test: raise the rate step by step and watch where the loss falls fastest."""

import math

import keras
import numpy as np


class LearningRateFinder(keras.callbacks.Callback):
    """Raises the learning rate exponentially from `lowest` to `highest` and suggests where to train.

    ```python
    finder = LearningRateFinder(steps=200)
    model.fit(data, epochs=finder.epochs(data), callbacks=[finder])
    finder.plot("learning_rates.png")
    model.compile(keras.optimizers.Adam(finder.suggestion), …)
    ```

    It ends the training by itself after `steps` batches, or when the loss is `diverged` times the lowest seen, and then
    gives weights, seeds and optimizer the values they had before.

    Source: Smith (2017), arXiv:1506.01186, section 3.3.

    Args:
        lowest: the first rate.
        highest: the last one.
        steps: how many batches, at least 10.
        smoothing: how much of the running mean of the losses is kept at each step.
        diverged: how many times the lowest smoothed loss counts as divergence.

    Attributes:
        rates: the rates tried.
        losses: the loss of each batch.
        smoothed: the bias-corrected running mean of the losses.
    """

    def __init__(self, lowest=1e-6, highest=10.0, steps=100, smoothing=0.9, diverged=4.0):
        super().__init__()
        if not 0 < lowest < highest:
            raise ValueError(f"0 < lowest < highest must hold. Received: lowest={lowest}, highest={highest}")
        if steps < 10:
            raise ValueError(f"steps must be at least 10. Received: steps={steps}")
        self.lowest, self.highest, self.steps = lowest, highest, steps
        self.smoothing, self.diverged = smoothing, diverged
        self.rates, self.losses, self.smoothed = [], [], []

    def epochs(self, data):
        """How many epochs of `data`, anything with a length in batches, the test takes."""
        return math.ceil(self.steps / len(data))

    def on_train_begin(self, logs=None):
        optimizer = getattr(self.model, "optimizer", None)
        try:
            rate = float(optimizer.learning_rate)
            optimizer.learning_rate = rate  # a schedule refuses
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                "the rate can be raised only where it is a number: compile the model with learning_rate=0.1, for "
                f"instance, not with a schedule. Received: {optimizer!r}"
            ) from error
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        self._before = [(v, v.numpy()) for v in [*self.model.variables, *optimizer.variables]]
        self.rates, self.losses, self.smoothed = [], [], []
        self._mean, self._lowest_seen = 0.0, math.inf

    def on_train_batch_begin(self, batch, logs=None):
        step = len(self.rates)
        if step >= self.steps:
            return
        rate = self.lowest * (self.highest / self.lowest) ** (step / (self.steps - 1))
        model = self.model
        model.optimizer.learning_rate = rate
        model.reset_metrics()  # so that the logs hold this batch's loss and not the epoch's mean
        self.rates.append(rate)

    def on_train_batch_end(self, batch, logs=None):
        if len(self.losses) >= self.steps:
            return
        loss = float(logs["loss"] if "loss" in logs else next(iter(logs.values())))
        self.losses.append(loss)
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        self.smoothed.append(self._mean / (1 - self.smoothing ** len(self.losses)))
        self._lowest_seen = min(self._lowest_seen, self.smoothed[-1])
        too_high = not math.isfinite(loss) or (
            len(self.losses) > 10 and self.smoothed[-1] > self.diverged * self._lowest_seen
        )
        if too_high or len(self.losses) == self.steps:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        _ = (
            self.model
        )  # reading it brings the state of a compiled step home, which must not overwrite what follows
        for variable, value in self._before:
            variable.assign(value)
        self._before = []

    @property
    def suggestion(self):
        """Where the smoothed loss falls fastest per factor of the rate, and at most a tenth of where it is lowest.

        A training stays at its rate, where the test has passed on: what still fell there may diverge in the long run.

        Raises:
            ValueError: if fewer than 10 batches were seen, or the loss fell nowhere.
        """
        smoothed = np.asarray(self.smoothed)
        smoothed = smoothed[np.isfinite(smoothed)]
        if len(smoothed) < 10:
            raise ValueError(
                "the loss was not finite, or fit ended, before 10 batches: begin lower, or fit for more epochs. "
                f"Received: {len(smoothed)} finite losses of {len(self.losses)}"
            )
        slopes = _slopes(np.log(self.rates[: len(smoothed)]), smoothed, half := max(2, self.steps // 25))
        # The first means are of few batches; past the lowest loss, only noise falls.
        end = half + int(smoothed[half:].argmin()) + 1
        place = half + int(slopes[half:end].argmin())
        if not slopes[place] < 0:
            raise ValueError(
                f"the loss fell at no rate between {self.lowest:g} and {self.rates[-1]:g}. Received: losses from "
                f"{smoothed[0]:g} to {smoothed.min():g}"
            )
        return float(min(self.rates[place], self.rates[end - 1] / 10))

    def plot(self, path, title="Learning-rate range test"):
        """Draws the losses over the rates, with the suggestion, as PNG."""
        from kzoo import plots

        return plots.learning_rates(self.rates, self.losses, self.smoothed, self.suggestion, path, title)


def _slopes(x, y, half):
    """The slope of the straight line through each point and `half` neighbours on both sides."""
    slopes = np.empty(len(y))
    for i in range(len(y)):
        near = slice(max(0, i - half), i + half + 1)
        slopes[i] = np.polyfit(x[near], y[near], 1)[0]
    return slopes
