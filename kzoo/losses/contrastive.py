"""Pairs of embeddings: the same ones together, the others a margin apart (Hadsell, Chopra and LeCun 2006)."""

import keras
from keras import ops

from kzoo.losses.distances import check_embeddings, square_root


@keras.saving.register_keras_serializable("kzoo")
class Contrastive(keras.losses.Loss):
    """`½ y d² + ½ (1 - y) max(0, margin - d)²`, where `d` is the Euclidean distance of two embeddings.

    `y_true` `(b,)` is 1 for a pair that belongs together and 0 for one that does not (the paper has it the other way
    round). `y_pred` `(b, 2, d)` holds the pairs. Values are `(b,)`. The gradient of a pair that lies at the same
    point is zero. Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.

    Args:
        margin: the distance from which pairs that do not belong together no longer count.

    Raises:
        ValueError: for a margin that is not positive, or embeddings of another shape.
    """

    def __init__(self, margin=1.0, reduction="sum_over_batch_size", name="contrastive", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if margin <= 0:
            raise ValueError(f"the margin must be positive. Received: margin={margin}")
        self.margin = margin

    def call(self, y_true, y_pred):
        check_embeddings(y_pred, ("b", 2, "d"), "Contrastive")
        y_true = ops.cast(ops.reshape(y_true, (-1,)), y_pred.dtype)
        squares = ops.sum(ops.square(y_pred[:, 0] - y_pred[:, 1]), axis=-1)
        apart = ops.relu(self.margin - square_root(squares))
        return 0.5 * (y_true * squares + (1.0 - y_true) * ops.square(apart))

    def get_config(self):
        return super().get_config() | {"margin": self.margin}
