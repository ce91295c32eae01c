"""Whether a classifier is right as often as it says: calibration errors and the reliability diagram's numbers.

Naeini, Cooper and Hauskrecht (2015), AAAI; Guo et al. (2017), arXiv:1706.04599.
"""

import keras
import numpy as np
from keras import ops

from kzoo.metrics.weights import per_label


@keras.saving.register_keras_serializable("kzoo")
class ExpectedCalibrationError(keras.metrics.Metric):
    """`Σ_bin (share of the bin) |accuracy - confidence|` over equal bins of the predicted class's probability.

    `y_true` `(…)` holds class ids, `y_pred` `(…, classes)` probabilities or logits, `sample_weight` `(…)` or `(b,)`.
    A probability on a bin's edge belongs to the upper bin. Nothing seen gives 0.

    Args:
        num_bins: the paper has 15.
        from_logits: whether predictions are logits.

    Raises:
        ValueError: for no bins, or labels that are not one axis less than predictions.
    """

    def __init__(self, num_bins=15, from_logits=False, name="expected_calibration_error", dtype=None):
        super().__init__(name=name, dtype=dtype)
        if num_bins < 1:
            raise ValueError(f"there must be a bin. Received: num_bins={num_bins}")
        self.num_bins = num_bins
        self.from_logits = from_logits
        self._direction = "down"
        # Per bin: weight, weighted confidences, weighted hits.
        self.totals = self.add_variable((num_bins, 3), initializer="zeros", name="totals")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.convert_to_tensor(y_true)
        y_pred = ops.cast(y_pred, self.dtype)
        if len(y_pred.shape) != len(y_true.shape) + 1 or y_pred.shape[-1] == 1:
            raise ValueError(
                "calibration needs class ids, and predictions with one more axis of two or more classes. "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        probabilities = ops.softmax(y_pred, axis=-1) if self.from_logits else y_pred
        confidence = ops.reshape(ops.max(probabilities, axis=-1), (-1,))
        right = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), ops.cast(y_true, "int32"))
        right = ops.reshape(ops.cast(right, self.dtype), (-1,))
        weights = ops.reshape(per_label(sample_weight, y_true, self.dtype), (-1,))
        bins = ops.clip(ops.cast(confidence * self.num_bins, "int32"), 0, self.num_bins - 1)
        rows = ops.stack([weights, weights * confidence, weights * right], axis=1)  # (n, 3)
        # A product and not `segment_sum`, which sums float64 in float32 on PyTorch.
        places = ops.one_hot(bins, self.num_bins, dtype=self.dtype)
        self.totals.assign_add(ops.matmul(ops.transpose(places), rows))

    def gaps(self):
        """Per bin `|accuracy - confidence|`, 0 where it is empty, and the bin's share of all."""
        weights, confidence, right = (self.totals[:, i] for i in range(3))
        gaps = ops.abs(ops.divide_no_nan(right, weights) - ops.divide_no_nan(confidence, weights))
        return gaps, ops.divide_no_nan(weights, ops.sum(weights))

    def result(self):
        gaps, share = self.gaps()
        return ops.sum(gaps * share)

    def reliability(self):
        """The reliability diagram's numbers so far, as NumPy arrays; `nan` where a bin is empty.

        Returns:
            A dict of `edges` `(num_bins + 1,)`, and `weight`, `confidence` and `accuracy` `(num_bins,)`.
        """
        weight, confidence, right = ops.convert_to_numpy(self.totals).T
        known = np.where(weight > 0, weight, np.nan)
        edges = np.linspace(0.0, 1.0, self.num_bins + 1)
        return {"edges": edges, "weight": weight, "confidence": confidence / known, "accuracy": right / known}

    def get_config(self):
        own = {"num_bins": self.num_bins, "from_logits": self.from_logits}
        return super().get_config() | own


@keras.saving.register_keras_serializable("kzoo")
class MaximumCalibrationError(ExpectedCalibrationError):
    """The largest `|accuracy - confidence|` of a bin: as `ExpectedCalibrationError` otherwise."""

    def __init__(self, num_bins=15, from_logits=False, name="maximum_calibration_error", dtype=None):
        super().__init__(num_bins, from_logits, name=name, dtype=dtype)

    def result(self):
        return ops.max(self.gaps()[0])
