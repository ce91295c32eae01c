"""All images of a class find each other: supervised contrastive learning (Khosla et al. 2020, arXiv:2004.11362)."""

import keras
from keras import ops

from kzoo.losses.blockwise import SELF
from kzoo.losses.distances import check_embeddings, same_label, unit


@keras.saving.register_keras_serializable("kzoo")
class SupervisedContrastive(keras.losses.Loss):
    """`-1/|P(i)| Σ_{p in P(i)} log exp(z_i · z_p / τ) / Σ_{a≠i} exp(z_i · z_a / τ)` (`L_out`, equation 2).

    `P(i)` are the other rows of row `i`'s class. `y_true` `(b,)` holds labels, `y_pred` `(b, d)` embeddings, scaled
    here to unit length; with two views of each image both are rows of the batch. Values are `(b,)`; a row alone in its
    class gives zero. arXiv:2004.11362.

    Args:
        temperature: `τ`; the paper has 0.1.

    Raises:
        ValueError: for a temperature that is not positive, or embeddings of another shape.
    """

    def __init__(
        self, temperature=0.1, reduction="sum_over_batch_size", name="supervised_contrastive", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if temperature <= 0:
            raise ValueError(f"the temperature must be positive. Received: temperature={temperature}")
        self.temperature = temperature

    def call(self, y_true, y_pred):
        check_embeddings(y_pred, ("b", "d"), "SupervisedContrastive")
        z = unit(y_pred, self.temperature)
        similar = ops.matmul(z, ops.transpose(z))
        itself = ops.eye(ops.shape(z)[0], dtype=z.dtype)
        log_p = ops.log_softmax(similar + SELF * itself, axis=1)
        positive = ops.cast(same_label(y_true, y_true), z.dtype) - itself
        return -ops.sum(positive * log_p, axis=1) / ops.maximum(ops.sum(positive, axis=1), 1.0)

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}
