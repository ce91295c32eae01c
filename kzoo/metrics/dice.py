"""How far predicted segments overlap the true ones."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class DiceScore(keras.metrics.MeanIoU):
    """`2 |A ∩ B| / (|A| + |B|)` per class over all pixels seen, which is the class's F1 score.

    `y_true` holds class ids, `y_pred` class ids or, by default, scores with a last axis of classes (logits or
    probabilities: the largest wins). It counts as `keras.metrics.MeanIoU` does, in one confusion matrix; `IoU`,
    `BinaryIoU` and `OneHotMeanIoU` are in Keras. Dice (1945), Ecology 26.

    Args:
        num_classes: how many classes.
        average: `"macro"` for the mean over the classes that occur in labels or predictions, or `None` for one value
            per class, 0 where it does not occur.
        ignore_class: a label that does not count.
        include_background: whether class 0 takes part in the mean.
        sparse_y_true: whether labels are ids, not one-hot.
        sparse_y_pred: whether predictions are ids.
        axis: where the classes are in scores and one-hot labels.
        dtype: of the counts: integers by default; a floating-point type for fractional sample weights.

    Raises:
        ValueError: for another `average`.
    """

    def __init__(
        self,
        num_classes,
        average="macro",
        ignore_class=None,
        include_background=True,
        sparse_y_true=True,
        sparse_y_pred=False,
        axis=-1,
        name="dice",
        dtype=None,
    ):
        if average not in ("macro", None):
            raise ValueError(f'average must be "macro" or None. Received: average={average!r}')
        super().__init__(
            num_classes,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=sparse_y_true,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )
        self.average = average
        self.include_background = include_background

    def result(self):
        counts = ops.cast(self.total_cm, keras.config.floatx())  # Keras counts in integers
        sizes = ops.sum(counts, axis=0) + ops.sum(counts, axis=1)
        scores = ops.divide_no_nan(2.0 * ops.diagonal(counts), sizes)
        if self.average is None:
            return scores
        first = 0 if self.include_background else 1
        occurs = ops.cast(sizes[first:] > 0, scores.dtype)
        return ops.divide_no_nan(ops.sum(scores[first:]), ops.sum(occurs))

    def get_config(self):
        return super().get_config() | {"average": self.average, "include_background": self.include_background}
