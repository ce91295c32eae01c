"""How long the capsule of each class should be (Sabour, Frosst and Hinton 2017, arXiv:1710.09829)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class CapsuleMargin(keras.losses.Loss):
    """`Σ_k T_k max(0, present - v_k)² + down_weight (1 - T_k) max(0, v_k - absent)²` (equation 4).

    `y_true` `(b, classes)` is one-hot, or several-hot since more than one class may be present; `y_pred`
    `(b, classes)` holds the lengths `v_k` of the class capsules, between 0 and 1. Values are `(b,)`.

    Args:
        present: the length that a present class should reach.
        absent: the length that an absent class should stay under.
        down_weight: `λ`, so that absent classes do not shrink all capsules early in training.
    """

    def __init__(
        self,
        present=0.9,
        absent=0.1,
        down_weight=0.5,
        reduction="sum_over_batch_size",
        name="capsule_margin",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not absent < present:
            raise ValueError(f"absent must be below present. Received: absent={absent}, present={present}")
        self.present = present
        self.absent = absent
        self.down_weight = down_weight

    def call(self, y_true, y_pred):
        if len(y_true.shape) != len(y_pred.shape) or y_true.shape[-1] not in (None, y_pred.shape[-1]):
            raise ValueError(
                "CapsuleMargin needs one-hot labels: keras.ops.one_hot(labels, num_classes). "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        y_true = ops.cast(y_true, y_pred.dtype)
        short = y_true * ops.square(ops.relu(self.present - y_pred))
        long = (1.0 - y_true) * ops.square(ops.relu(y_pred - self.absent))
        return ops.sum(short + self.down_weight * long, axis=-1)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("present", "absent", "down_weight")}
        return super().get_config() | own
