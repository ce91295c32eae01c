"""Cross-entropy towards softened targets, for classes given as numbers (Szegedy et al. 2016, arXiv:1512.00567)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class SmoothedCrossentropy(keras.losses.Loss):
    """`-(1 - s) log p_y - s / v Σ_i log p_i` of logits `(..., v)` and classes `(...)`; values are `(...)`.

    It is `keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=s)` without one-hot targets, which for
    v words of a language are most of a step's memory. The mean is that over labels that count.

    Args:
        smoothing: `s`, the share of each target that is spread over all classes.
        ignore_class: a label that does not count, such as that of padding.

    Raises:
        ValueError: for a share that does not lie between 0 and 1.
    """

    def __init__(
        self,
        smoothing=0.1,
        ignore_class=None,
        reduction="mean_with_sample_weight",
        name="smoothed_crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1. Received: smoothing={smoothing}")
        self.smoothing = smoothing
        self.ignore_class = ignore_class

    def __call__(self, y_true, y_pred, sample_weight=None):
        if self.ignore_class is not None:
            counts = ops.cast(ops.not_equal(y_true, self.ignore_class), self.dtype)
            sample_weight = counts if sample_weight is None else counts * ops.cast(sample_weight, self.dtype)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        labels = ops.maximum(ops.cast(y_true, "int32"), 0)  # what is ignored has a weight of 0
        own = ops.take_along_axis(y_pred, ops.expand_dims(labels, -1), axis=-1)[..., 0]
        losses = ops.logsumexp(y_pred, axis=-1) - (1.0 - self.smoothing) * own
        return losses - self.smoothing * ops.mean(y_pred, axis=-1)

    def get_config(self):
        own = {"smoothing": self.smoothing, "ignore_class": self.ignore_class}
        return super().get_config() | own
