"""How many equally likely tokens a language model hesitates between."""

import keras
from keras import ops

from kzoo.metrics.weights import per_label


class _EveryToken(keras.metrics.Mean):
    """The weighted mean over all values; Keras's own averages the tokens of an example first."""

    def update_state(self, values, sample_weight=None):
        values = ops.where(sample_weight > 0, values, 0.0)  # what does not count may be infinite
        return super().update_state(ops.reshape(values, (-1,)), ops.reshape(sample_weight, (-1,)))


@keras.saving.register_keras_serializable("kzoo")
class Perplexity(keras.metrics.MeanMetricWrapper, _EveryToken):
    """`exp` of the mean cross-entropy of all tokens that count, in whatever batches they came.

    `y_true` `(…)` holds token ids, `y_pred` `(…, vocabulary_size)` probabilities or logits, `sample_weight` `(…)` or
    `(b,)` weights. Tokens masked by the model do not count either. Nothing seen gives 0, as `keras.metrics.Mean`; from
    a mean of 89 nats on, float32 gives infinity.

    Args:
        from_logits: whether predictions are logits. Probabilities are cut at 1e-7 by Keras.
        ignore_class: an id that does not count, such as padding; it may lie outside the vocabulary.

    Raises:
        ValueError: if predictions do not have one more axis than ids, or weights have more.
    """

    def __init__(self, from_logits=False, ignore_class=None, name="perplexity", dtype=None):
        super().__init__(self._nats, name=name, dtype=dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self._direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.convert_to_tensor(y_true)
        if len(y_pred.shape) != len(y_true.shape) + 1:
            raise ValueError(
                "Perplexity needs token ids and one more axis of predictions. "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        weights = per_label(sample_weight, y_true, self.dtype)
        if self.ignore_class is not None:
            counts = ops.not_equal(y_true, self.ignore_class)
            weights = weights * ops.cast(counts, self.dtype)
            y_true = ops.where(counts, y_true, ops.zeros_like(y_true))
        # The parent finds the model's mask at `y_pred`, which must come as it is.
        return super().update_state(y_true, y_pred, weights)

    def _nats(self, y_true, y_pred):
        return ops.sparse_categorical_crossentropy(
            ops.cast(y_true, "int32"), ops.cast(y_pred, self.dtype), from_logits=self.from_logits
        )

    def result(self):
        return ops.where(self.count > 0, ops.exp(super().result()), 0.0)

    def get_config(self):
        own = {"from_logits": self.from_logits, "ignore_class": self.ignore_class}
        return {"name": self.name, "dtype": self.dtype} | own

    @classmethod
    def from_config(cls, config):
        return cls(**config)
