"""A word told from words drawn at random (Mikolov et al. 2013, arXiv:1310.4546)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class NegativeSampling(keras.losses.Loss):
    """`-log σ(x) - Σ_k log σ(-x_k)`: `x` is the logit of the right word, `x_k` those of the drawn ones (equation 4).

    `y_true` `(b, 1 + k)` is 1 for the right word, 0 for drawn ones and -1 for those that do not count; `y_pred`
    `(b, 1 + k)` are logits. Values are `(b,)`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="negative_sampling", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        if len(y_true.shape) != len(y_pred.shape) or y_true.shape[-1] not in (None, y_pred.shape[-1]):
            raise ValueError(
                "NegativeSampling needs a label for each logit. "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        values = ops.softplus(ops.where(y_true > 0, -y_pred, y_pred))
        return ops.sum(ops.where(y_true < 0, ops.zeros_like(values), values), axis=-1)
