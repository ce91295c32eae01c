"""Two views of each image find each other in the batch: SimCLR (Chen et al. 2020, arXiv:2002.05709)."""

import keras
from keras import ops

from kzoo.losses.blockwise import SELF, fits, log_sum_exp_of_others
from kzoo.losses.distances import check_embeddings, unit


@keras.saving.register_keras_serializable("kzoo")
class NTXent(keras.losses.Loss):
    """Normalised temperature-scaled cross-entropy: the other view against the `2b - 2` views of other images.

    `ℓ(i, j) = -log exp(s_ij / τ) / Σ_{k≠i} exp(s_ik / τ)` with cosine similarities `s`, averaged over the two
    directions of each pair. `y_pred` `(b, 2, d)` holds the two views' embeddings, of any length; `y_true` is not used
    (hand in zeros, or `y_pred` itself). Values are `(b,)`.

    Above `block_size` views the `(2b, 2b)` similarities are never held at once: memory is linear in the batch, for one
    more computation of them in the backward pass. TensorFlow works on up to ten blocks at the same time.
    SimCLR, arXiv:2002.05709.

    Args:
        temperature: `τ`. The paper has 0.1 for ImageNet and 0.5 for CIFAR-10.
        block_size: rows of similarities made at a time.

    Raises:
        ValueError: for a temperature or block size that is not positive, or embeddings of another shape.
    """

    def __init__(
        self, temperature=0.1, block_size=1024, reduction="sum_over_batch_size", name="nt_xent", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if temperature <= 0:
            raise ValueError(f"the temperature must be positive. Received: temperature={temperature}")
        if block_size < 1:
            raise ValueError(f"a block has at least one row. Received: block_size={block_size}")
        self.temperature = temperature
        self.block_size = block_size

    def call(self, y_true, y_pred):
        check_embeddings(y_pred, ("b", 2, "d"), "NTXent")
        views = unit(y_pred, self.temperature)
        first, second = views[:, 0], views[:, 1]
        z = ops.concatenate([first, second], axis=0)
        if fits(z, self.block_size):
            return ops.mean(ops.reshape(_whole(z), (2, -1)), axis=0)
        others = log_sum_exp_of_others(z, self.block_size)
        return ops.mean(ops.reshape(others, (2, -1)), axis=0) - ops.sum(first * second, axis=-1)

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature, "block_size": self.block_size}


def _whole(z):
    """The cross-entropy of each view's similarities with all others."""
    count = ops.shape(z)[0]
    similar = ops.matmul(z, ops.transpose(z)) + SELF * ops.eye(count, dtype=z.dtype)
    other_view = (ops.arange(count) + count // 2) % count
    return ops.sparse_categorical_crossentropy(other_view, similar, from_logits=True)
