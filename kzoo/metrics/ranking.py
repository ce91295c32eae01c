"""Whether what is relevant is ranked first: gain with discount, and hits, of the first `k` places."""

import math

import keras
from keras import ops


class RankingMean(keras.metrics.Mean):
    """The mean of one value per list. `y_true` and `y_pred` are `(b, items)`, `sample_weight` is `(b,)`."""

    def __init__(self, k=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        if k is not None and k < 1:
            raise ValueError(f"there must be a first place. Received: k={k}")
        self.k = k
        self._direction = "up"

    def of_lists(self, relevance, scores):
        """`(b, items)` twice to `(b,)`."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        relevance, scores = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        if len(relevance.shape) != 2 or len(scores.shape) != 2 or scores.shape[1] is None:
            raise ValueError(
                "ranking needs relevance and scores of (b, items). "
                f"Received: y_true.shape={relevance.shape}, y_pred.shape={scores.shape}"
            )
        super().update_state(self.of_lists(relevance, scores), sample_weight)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "k": self.k}


@keras.saving.register_keras_serializable("kzoo")
class NDCG(RankingMean):
    """Normalised discounted cumulative gain: `Σ gain / log2(1 + place)` over that of the best order.

    `y_true` `(b, items)` holds relevance, from 0 up, `y_pred` scores. A list without a relevant item gives 0, as in
    scikit-learn. Items of equal score stand in an order of the engine's choice. Järvelin and Kekäläinen (2002), ACM
    TOIS 20.

    Args:
        k: how many places count; `None` for all.
        exponential: gain `2^relevance - 1` (Burges et al. 2005) in place of the relevance itself.
    """

    def __init__(self, k=None, exponential=False, name="ndcg", dtype=None):
        super().__init__(k, name=name, dtype=dtype)
        self.exponential = exponential

    def of_lists(self, relevance, scores):
        count = min(self.k or scores.shape[1], scores.shape[1])
        first = ops.take_along_axis(relevance, ops.top_k(scores, count)[1], axis=1)
        best = ops.top_k(relevance, count)[0]
        discounts = 1.0 / ops.log2(ops.cast(ops.arange(count) + 2, self.dtype))

        def gain(relevance):
            gains = ops.exp2(relevance) - 1.0 if self.exponential else relevance
            return ops.sum(gains * discounts, axis=1)

        return ops.divide_no_nan(gain(first), gain(best))

    def get_config(self):
        return super().get_config() | {"exponential": self.exponential}


@keras.saving.register_keras_serializable("kzoo")
class HitRate(RankingMean):
    """The share of lists with a relevant item among the `k` highest scores.

    `y_true` `(b, items)` holds relevance, above 0 for a relevant item, `y_pred` scores. Of equal scores the
    relevant one counts as the higher. With one relevant item it is `keras.metrics.TopKCategoricalAccuracy`; the share
    of all relevant items found is `keras.metrics.Recall(top_k=k)`.
    """

    def __init__(self, k=10, name="hit_rate", dtype=None):
        if k is None:
            raise ValueError("say how many places count. Received: k=None")
        super().__init__(k, name=name, dtype=dtype)

    def of_lists(self, relevance, scores):
        relevant = relevance > 0
        best = ops.max(ops.where(relevant, scores, -math.inf), axis=1, keepdims=True)
        before = ops.sum(ops.cast(scores > best, "int32"), axis=1)
        return ops.cast(ops.logical_and(ops.any(relevant, axis=1), before < self.k), self.dtype)
