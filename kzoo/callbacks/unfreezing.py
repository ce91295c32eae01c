"""Fine-tuning from the head down: each stage joins when those above it have found their feet."""

import keras

from kzoo.optimizers import LayerwiseLearningRates


class ProgressiveUnfreezing(keras.callbacks.Callback):
    """Keeps groups of layers as they are until their epoch has come.

    ```python
    rates = LayerwiseLearningRates(AdamW(1e-3), {"stage_4*": 0.3, "stage_3*": 0.1, "st*": 0.03})
    model.compile(rates, …)
    model.fit(…, callbacks=[ProgressiveUnfreezing({"stage_4*": 1, "stage_3*": 2, "st*": 3})])
    ```

    The optimizer must be a `LayerwiseLearningRates` with these patterns: until its epoch a group has factor 0, then its
    own, so that nothing is compiled again and the optimizer's state is kept. Frozen groups are still differentiated
    through. Batch normalisation keeps learning its statistics unless `kzoo.transfer.freeze_statistics` stops it.
    Resuming takes up the factors of the epoch.

    Howard and Ruder (2018), arXiv:1801.06146, section 3.3: one layer an epoch, the last first.

    Args:
        start: pattern to the first epoch, counted from 0, in which its layers learn.
    """

    def __init__(self, start):
        super().__init__()
        for pattern, epoch in start.items():
            if epoch < 0 or epoch != int(epoch):
                raise ValueError(f"an epoch is a whole number from 0 on. Received: {pattern!r}: {epoch!r}")
        self.start = dict(start)

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        if not isinstance(optimizer, LayerwiseLearningRates):
            raise ValueError(
                "ProgressiveUnfreezing sets the factors of a LayerwiseLearningRates: compile the model with one. "
                f"Received: optimizer={type(optimizer).__name__}"
            )
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        self._factors = optimizer.factors

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        for pattern, first in self.start.items():
            optimizer.set_factor(pattern, self._factors.get(pattern, 1.0) if epoch >= first else 0.0)
