"""What training leaves of the weights: snapshots for ensembles, and stochastic weight averages."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

from kzoo.files import check_writable, replacing


class Snapshots(keras.callbacks.Callback):
    """Saves the weights every few epochs: the members of a snapshot ensemble.

    With a schedule whose rate restarts every `every` epochs (`kzoo.optimizers.schedules.Restarts`), each snapshot is
    of another minimum: one training gives an ensemble.

    ```python
    cycle = 10 * len(data)
    rate = Restarts(keras.optimizers.schedules.CosineDecay(0.1, cycle), cycle)
    model.fit(data, epochs=50, callbacks=[snapshots := Snapshots("members", every=10)])
    for path in snapshots.paths:
        model.load_weights(path)
    ```

    Source: Huang et al. (2017), arXiv:1704.00109.

    Args:
        folder: where `member-001.weights.h5`, `member-002.weights.h5` … go. Those of an earlier training are removed
            when a training begins at its first epoch.
        every: the epochs between two snapshots.
    """

    def __init__(self, folder, every=1):
        super().__init__()
        if every != int(every) or every < 1:
            raise ValueError(f"every must be a whole number of epochs. Received: every={every!r}")
        self.folder, self.every = Path(folder), int(every)

    @property
    def paths(self):
        """The snapshots, oldest first."""
        return sorted(self.folder.glob("member-*.weights.h5"))

    def on_train_begin(self, logs=None):
        check_writable(self.folder)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            for path in self.paths:
                path.unlink()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            member = (epoch + 1) // self.every
            with replacing(self.folder / f"member-{member:03}.weights.h5") as aside:
                # Keras asks for this ending, and the temporary name has it.
                self.model.save_weights(aside)


class StochasticWeightAverage(keras.callbacks.Callback):
    """Puts the mean of the weights at the ends of epochs in their place when training ends.

    Batch-norm statistics belong to the weights they were taken with, so they are taken again for the mean, from
    `data`. An exponential mean over all steps is Keras's: `use_ema=True` of every optimizer and
    `keras.callbacks.SwapEMAWeights`.

    Source: Izmailov et al. (2018), arXiv:1803.05407; they begin after three quarters of the training, with a constant
    or cyclical rate from there.

    Args:
        start: the first epoch, from 0, whose end counts.
        data: what a model with batch normalisation is shown: anything that gives batches, `x` or `(x, …)`.
        every: the epochs between two sets of weights.
        batches: how many batches of `data` are taken at most.
    """

    def __init__(self, start, data=None, every=1, batches=200):
        super().__init__()
        self.start, self.data, self.every, self.batches = start, data, every, batches
        self.count, self._mean = 0, None

    def on_train_begin(self, logs=None):
        if normalisations(self.model) and self.data is None:
            raise ValueError(
                "this model has batch normalisation, whose statistics must be taken again for averaged weights: "
                "give the training data. Received: data=None"
            )
        self.count, self._mean = 0, None

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self.start or (epoch - self.start) % self.every:
            return
        values = [v.numpy().astype("float64") for v in self.model.trainable_variables]
        self.count += 1
        if self._mean is None:
            self._mean = values
        else:
            self._mean = [mean + (value - mean) / self.count for mean, value in zip(self._mean, values)]

    def on_train_end(self, logs=None):
        if self._mean is None:
            return
        for variable, value in zip(self.model.trainable_variables, self._mean):
            variable.assign(value.astype(variable.dtype))
        if self.data is not None:
            refresh_batch_norm(self.model, self.data, self.batches)


def normalisations(model):
    """The batch-normalisation layers inside a model that are not frozen."""
    layers = [
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
    ]
    return [layer for layer in layers if layer.trainable]


def refresh_batch_norm(model, data, batches=200):
    """Replaces the moving statistics of batch normalisation by their means over batches of data.

    Args:
        model: a built model, whose weights stay as they are.
        data: gives batches, `x` or `(x, …)`.
        batches: how many are taken at most.
    """
    layers = normalisations(model)
    if not layers:
        return
    momenta, sums, count = [layer.momentum for layer in layers], None, 0
    try:
        for layer in layers:
            layer.momentum = 0.0  # after a batch the moving statistics are that batch's
        for i, batch in enumerate(data):
            if i >= batches:
                break
            x = batch[0] if isinstance(batch, list | tuple) else batch
            model(keras.tree.map_structure(ops.convert_to_tensor, x), training=True)
            seen = [s.numpy().astype("float64") for layer in layers for s in _statistics(layer)]
            sums = seen if sums is None else [a + b for a, b in zip(sums, seen)]
            count += 1
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
    if not count:
        raise ValueError("the data for batch normalisation gave no batch")
    for statistic, total in zip([s for layer in layers for s in _statistics(layer)], sums):
        statistic.assign(np.asarray(total / count, statistic.dtype))


def _statistics(layer):
    return layer.moving_mean, layer.moving_variance
