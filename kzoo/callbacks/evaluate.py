"""Metrics of what a model produces, such as BLEU of its translations, among the logs of `fit`."""

import keras

from kzoo import backend


class Evaluate(keras.callbacks.Callback):
    """After an epoch, lets the model produce hypotheses and writes their figures into the logs.

    ```python
    Evaluate(translate, (sources, references), [kzoo.metrics.BLEU(), kzoo.metrics.CHRF()])
    ```

    writes `val_bleu` and `val_chrf`. Callbacks placed after this one see them: `EarlyStopping("val_bleu", mode="max")`,
    `ModelCheckpoint`. So does the history.

    Args:
        generate: a function of `(model, inputs)` that returns one hypothesis per input.
        data: `(inputs, references)`, or an iterable of such batches that can be gone through again each time.
        metrics: metrics of texts (`kzoo.metrics`), or anything with `update(references, hypotheses)`, `result()` that
            returns a dict, and `reset()`.
        every: after how many epochs. In the epochs between nothing is written.
        prefix: what the figures' names start with.

    Raises:
        ValueError: if there are no metrics or `every` is not positive; at an epoch's end, if two figures have one name.
    """

    def __init__(self, generate, data, metrics, every=1, prefix="val_"):
        super().__init__()
        if not callable(generate):
            raise TypeError(
                f"generate must be a function of (model, inputs). Received: generate={generate!r}"
            )
        if iter(data) is data:
            raise TypeError(
                "data is gone through after every epoch: give a list or a data set, not an iterator. "
                f"Received: data={data!r}"
            )
        metrics = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
        if not metrics:
            raise ValueError("there is nothing to compute. Received: metrics=[]")
        if every < 1:
            raise ValueError(f"every counts epochs, from 1. Received: every={every}")
        self.generate = generate
        self.data = data
        self.metrics = metrics
        self.every = every
        self.prefix = prefix

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        found = self.figures()
        if logs is not None:
            logs.update({f"{self.prefix}{name}": value for name, value in found.items()})

    def figures(self):
        """The metrics' figures of the model as it is now, by name."""
        for metric in self.metrics:
            metric.reset()
        for inputs, references in self._batches():
            with backend.no_grad():
                hypotheses = self.generate(self.model, inputs)
            for metric in self.metrics:
                metric.update(references, hypotheses)
        found = {}
        for metric in self.metrics:
            result = metric.result()
            if twice := found.keys() & result.keys():
                raise ValueError(f"two metrics give a figure of one name. Received: {sorted(twice)}")
            found |= result
        return found

    def _batches(self):
        # A tuple is one batch; anything else holds batches.
        return [self.data] if isinstance(self.data, tuple) else self.data
