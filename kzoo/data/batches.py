"""Batches whose order and augmentation follow from the seed and the epoch alone, on every engine."""

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Batches of `(x, y)` for `fit`, `evaluate` and `predict`.

    Epoch `e` goes through the examples in the order `default_rng([seed, e]).permutation(n)`, and batch `i`
    of it is augmented with `default_rng([seed, e, i])`. Nothing else decides a batch, so a run that is
    resumed at epoch `e` sees what the uninterrupted run saw, once `epoch` is set to `e`: a callback does that
    at the beginning of each epoch. Without one, epochs count on by themselves from the one set.

    Use it without `steps_per_epoch`: an epoch is one pass. `fit` permutes the indices of a dataset's batches
    by Python's global generator, unless it is told `shuffle=False`; within an epoch that Keras runs, batches
    are therefore given in the order in which they are asked for, whatever their indices.

    Args:
        x: examples, `(n, ...)`; usually uint8 images.
        y: labels, `(n, ...)`, or `None` for batches of inputs alone.
        batch_size: examples per batch; the last one of an epoch may be smaller.
        seed: decides the order and the augmentation.
        shuffle: whether to draw a new order each epoch.
        drop_last: whether to leave out a last batch that is not full.
        preprocess: a function of a batch of `x`, such as `Preprocessing`, applied last.
        augment: a function of a NumPy generator and a batch of `x`, applied first.
        num_classes: if given, labels must lie in `[0, num_classes)`.

    Raises:
        ValueError: if lengths differ, there is no batch, or a label is out of range.
    """

    def __init__(
        self,
        x,
        y,
        batch_size,
        *,
        seed=0,
        shuffle=True,
        drop_last=False,
        preprocess=None,
        augment=None,
        num_classes=None,
    ):
        super().__init__(workers=0)  # threads would hurry past the order, and gain nothing here
        if batch_size < 1 or batch_size != int(batch_size):
            raise ValueError(
                f"batch_size must be a whole number, at least 1. Received: batch_size={batch_size!r}"
            )
        if y is not None and len(x) != len(y):
            raise ValueError(
                f"there must be one label per example. Received: {len(x)} examples, {len(y)} labels"
            )
        if len(x) < (batch_size if drop_last else 1):
            raise ValueError(
                f"the data must fill a batch. Received: {len(x)} examples, batch_size={batch_size}, "
                f"drop_last={drop_last}"
            )
        self.x, self.y = x, None if y is None else np.asarray(y)
        self.batch_size, self.seed = int(batch_size), seed
        self.shuffle, self.drop_last = shuffle, drop_last
        self.preprocess, self.augment = preprocess, augment
        self.epoch = 0
        self._places = None  # in an epoch that Keras runs: the place of each index asked for so far
        self._order = (None, None)  # the epoch, and its order
        if y is not None and self.y.dtype.kind in "iub":
            if num_classes is not None:
                check_labels(self.y, num_classes)
            self.y = self.y.astype("int32")

    @property
    def num_examples(self):
        """How many examples an epoch goes through."""
        return len(self) * self.batch_size if self.drop_last else len(self.x)

    def __len__(self):
        n, size = len(self.x), self.batch_size
        return n // size if self.drop_last else -(-n // size)

    def order(self, epoch=None):
        """Indices of the examples in the order of an epoch, by default of the current one."""
        epoch = self.epoch if epoch is None else epoch
        known, order = self._order
        if known != epoch:
            n = len(self.x)
            order = np.random.default_rng([self.seed, epoch]).permutation(n) if self.shuffle else np.arange(n)
            self._order = (epoch, order)
        return order

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"an epoch has {len(self)} batches. Received: index={index}")
        if self._places is not None:
            index = self._places.setdefault(index, len(self._places))
        return self.draw(self.epoch, index)

    def draw(self, epoch, index):
        """Batch `index` of an epoch, whatever the current one is."""
        chosen = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.x[chosen]
        if self.augment is not None:
            x = self.augment(np.random.default_rng([self.seed, epoch, index]), x)
        if self.preprocess is not None:
            x = self.preprocess(x)
        return (x,) if self.y is None else (x, self.y[chosen])

    def on_epoch_begin(self):
        self._places = {}

    def on_epoch_end(self):
        """Goes on to the next epoch, if this one was asked for in full.

        Before the first epoch Keras ends one that never began, or one of which it wanted a single batch.
        """
        if self._places is not None:
            self.epoch += len(self._places) == len(self)
            self._places = None


def check_labels(y, num_classes):
    """Raises a `ValueError` that names the first label outside `[0, num_classes)`."""
    wrong = np.flatnonzero((y.reshape(len(y), -1) < 0).any(1) | (y.reshape(len(y), -1) >= num_classes).any(1))
    if len(wrong):
        raise ValueError(
            f"labels must lie in [0, {num_classes}); {len(wrong)} of {len(y)} do not. "
            f"Received: label {y[wrong[0]]} at index {wrong[0]}"
        )
