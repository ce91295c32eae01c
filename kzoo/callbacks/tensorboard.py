"""TensorBoard files on every engine, without TensorFlow."""

from pathlib import Path

import keras
import numpy as np

from kzoo.engine import others_left_out, require
from kzoo.files import check_writable


class TensorBoard(keras.callbacks.Callback):
    """Writes scalars, histograms of the weights, images and texts for `tensorboard --logdir`.

    The names are those of `keras.callbacks.TensorBoard`, which needs TensorFlow on every engine: `epoch_loss` and so on
    in the runs `train` and `validation`, `batch_loss` with `update_freq`. Needs the extra `tensorboard`.

    Args:
        log_dir: where the event files go, below `train` and `validation`.
        histogram_freq: the epochs between histograms of every weight; 0 for none.
        update_freq: "epoch", or the batches between `batch_` scalars.
        images: a function of the epoch and the model that returns a dict of names to images, `(h, w, c)` or
            `(n, h, w, c)`, uint8 or between 0 and 1. It is called after every epoch.
        texts: a dict of names to Markdown, written when training begins, such as the configuration.
    """

    def __init__(self, log_dir="logs", histogram_freq=0, update_freq="epoch", images=None, texts=None):
        super().__init__()
        if update_freq != "epoch" and not (isinstance(update_freq, int) and update_freq >= 1):
            raise ValueError(f"update_freq must be 'epoch' or batches. Received: update_freq={update_freq!r}")
        self.log_dir, self.histogram_freq, self.update_freq = Path(log_dir), histogram_freq, update_freq
        self.images, self.texts = images, dict(texts or {})
        with others_left_out():  # it would import PyTorch in order to take its tensors, too
            self._writer_class = require("tensorboardX", "tensorboard").SummaryWriter
        self._writers, self._batches = {}, 0

    def on_train_begin(self, logs=None):
        check_writable(self.log_dir)
        self._batches = 0
        for name, text in self.texts.items():
            self._writer("train").add_text(name, str(text), 0)

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        if self.update_freq != "epoch" and self._batches % self.update_freq == 0:
            for name, value in (logs or {}).items():
                self._writer("train").add_scalar(f"batch_{name}", float(value), self._batches)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            run, plain = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            self._writer(run).add_scalar(f"epoch_{plain}", float(value), epoch)
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None and "learning_rate" not in (logs or {}):
            self._writer("train").add_scalar("epoch_learning_rate", _rate(optimizer), epoch)
        if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
            for variable in self.model.weights:
                values = np.asarray(variable.numpy(), "float32")
                if np.isfinite(values).all():  # TensorBoard draws no others
                    self._writer("train").add_histogram(variable.path, values, epoch)
        for name, image in (self.images(epoch, self.model) if self.images else {}).items():
            image = np.asarray(image)
            if image.ndim not in (3, 4):
                raise ValueError(
                    f"an image has 3 axes, a sheet of them 4. Received: {name!r} of shape {image.shape}"
                )
            add = self._writer("train").add_images if image.ndim == 4 else self._writer("train").add_image
            add(name, image, epoch, dataformats="NHWC" if image.ndim == 4 else "HWC")
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, run):
        if run not in self._writers:
            self._writers[run] = self._writer_class(str(self.log_dir / run))
        return self._writers[run]


def _rate(optimizer):
    try:
        return float(optimizer.learning_rate)
    except (TypeError, ValueError):
        return float("nan")
