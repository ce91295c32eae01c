"""Which key belongs to a query: InfoNCE (van den Oord, Li and Vinyals 2018, arXiv:1807.03748)."""

import keras
from keras import ops

from kzoo.losses.distances import check_embeddings, unit


@keras.saving.register_keras_serializable("kzoo")
class InfoNCE(keras.losses.Loss):
    """`-log exp(q_i · k_i / τ) / Σ_j exp(q_i · k_j / τ)`: the cross-entropy of finding query `i`'s key among all.

    `y_pred` `(b, d)` holds queries. `y_true` `(b + m, d)` holds their keys in the same order and, after them, `m` more
    keys that belong to nobody, such as MoCo's queue. Vectors are scaled to unit length. Values are `(b,)`.

    Args:
        temperature: `τ`. MoCo has 0.07.
        in_batch: whether the keys of other queries are negatives; `False` with a queue gives MoCo's loss
            (arXiv:1911.05722).
        symmetric: average with the loss of keys finding their queries, as CLIP (arXiv:2103.00020) does. The further
            keys take part in one direction only.

    Raises:
        ValueError: for a temperature that is not positive, or embeddings of another shape.
    """

    def __init__(
        self,
        temperature=0.07,
        in_batch=True,
        symmetric=False,
        reduction="sum_over_batch_size",
        name="info_nce",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if temperature <= 0:
            raise ValueError(f"the temperature must be positive. Received: temperature={temperature}")
        if symmetric and not in_batch:
            raise ValueError(
                "symmetric needs the keys of the batch. Received: symmetric=True, in_batch=False"
            )
        self.temperature = temperature
        self.in_batch = in_batch
        self.symmetric = symmetric

    def call(self, y_true, y_pred):
        check_embeddings(y_pred, ("b", "d"), "InfoNCE")
        queries = unit(y_pred, self.temperature)
        keys = unit(ops.cast(y_true, y_pred.dtype), self.temperature)
        _check_counts(queries, keys)
        count = ops.shape(queries)[0]
        if not self.in_batch:
            own, further = keys[:count], keys[count:]
            together = ops.sum(queries * own, axis=-1)
            others = ops.matmul(queries, ops.transpose(further))
            return ops.logsumexp(ops.concatenate([together[:, None], others], axis=1), axis=1) - together
        logits = ops.matmul(queries, ops.transpose(keys))
        losses = ops.sparse_categorical_crossentropy(ops.arange(count), logits, from_logits=True)
        if self.symmetric:
            back = ops.transpose(logits[:, :count])
            losses += ops.sparse_categorical_crossentropy(ops.arange(count), back, from_logits=True)
            losses *= 0.5
        return losses

    def get_config(self):
        own = {name: getattr(self, name) for name in ("temperature", "in_batch", "symmetric")}
        return super().get_config() | own


def _check_counts(queries, keys):
    counts = queries.shape[0], keys.shape[0]
    if None not in counts and counts[1] < counts[0]:
        raise ValueError(f"each query needs a key. Received: {counts[0]} queries and {counts[1]} keys")
