"""Triplets mined in the batch: an anchor nearer to its own class than to the others, by a margin.

FaceNet: Schroff, Kalenichenko and Philbin (2015), arXiv:1503.03832. Batch hard: Hermans, Beyer and Leibe (2017),
arXiv:1703.07737.
"""

import keras
from keras import ops

from kzoo.losses.distances import check_embeddings, same_label, square_root, squared_distances

FAR = 1e30  # farther than any distance


@keras.saving.register_keras_serializable("kzoo")
class TripletSemiHard(keras.losses.Loss):
    """`max(0, d(a, p)² - d(a, n)² + margin)` over all pairs of a class, each with its semi-hard negative.

    The negative of an anchor and a positive is the nearest one that is farther than the positive; where there is none,
    the farthest. `y_true` `(b,)` holds labels, `y_pred` `(b, d)` embeddings (FaceNet's have unit length: end the model
    in `keras.layers.UnitNormalization`). Values `(b,)` belong to anchors and are scaled so that their mean is the mean
    over all pairs. A batch without a pair, or of one class, gives zeros with zero gradients.

    Mining compares `b³` distances and keeps none of them. FaceNet, arXiv:1503.03832.

    Args:
        margin: by how much, in squared distance.
    """

    def __init__(self, margin=0.2, reduction="sum_over_batch_size", name="triplet_semi_hard", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.margin = margin

    def call(self, y_true, y_pred):
        check_embeddings(y_pred, ("b", "d"), "TripletSemiHard")
        distances = squared_distances(y_pred, y_pred)  # (a, p) or (a, n)
        positive, negative = _pairs(y_true)
        found = ops.stop_gradient(distances)
        farther = ops.logical_and(negative[:, None, :], found[:, None, :] > found[:, :, None])  # (a, p, n)
        nearest = ops.argmin(ops.where(farther, found[:, None, :], FAR), axis=-1)
        farthest = ops.argmax(ops.where(negative, found, -FAR), axis=-1)
        chosen = ops.where(ops.any(farther, axis=-1), nearest, farthest[:, None])  # (a, p)
        loss = ops.relu(distances - ops.take_along_axis(distances, chosen, axis=1) + self.margin)
        counted = ops.logical_and(positive, ops.any(negative, axis=1, keepdims=True))
        return _mean_over(counted, loss)

    def get_config(self):
        return super().get_config() | {"margin": self.margin}


@keras.saving.register_keras_serializable("kzoo")
class TripletHard(keras.losses.Loss):
    """`max(0, d(a, p) - d(a, n) + margin)` of each anchor, its farthest positive and its nearest negative.

    Distances are Euclidean, which the paper found steadier than squared ones. `y_true` `(b,)` holds labels, `y_pred`
    `(b, d)` embeddings. Values `(b,)` belong to anchors; anchors without a positive or a negative are zero, and the
    others are scaled so that the mean is theirs. A batch of one class gives zeros with zero gradients. Hermans et al.,
    arXiv:1703.07737.

    Args:
        margin: by how much; `None` for the soft margin `log(1 + exp(d(a, p) - d(a, n)))`.
    """

    def __init__(self, margin=0.2, reduction="sum_over_batch_size", name="triplet_hard", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.margin = margin

    def call(self, y_true, y_pred):
        check_embeddings(y_pred, ("b", "d"), "TripletHard")
        squares = squared_distances(y_pred, y_pred)
        positive, negative = _pairs(y_true)
        farthest = ops.max(ops.where(positive, squares, -1.0), axis=1)
        nearest = ops.min(ops.where(negative, squares, FAR), axis=1)
        counted = ops.logical_and(farthest >= 0.0, nearest < FAR)  # has a positive and a negative
        apart = square_root(farthest) - square_root(nearest)
        loss = ops.softplus(apart) if self.margin is None else ops.relu(apart + self.margin)
        return _mean_over(counted, loss)

    def get_config(self):
        return super().get_config() | {"margin": self.margin}


def _pairs(labels):
    """Which pairs of rows have the same label, themselves left out, and which have different ones."""
    same = same_label(labels, labels)
    count = ops.shape(same)[0]
    return ops.logical_and(same, ops.logical_not(ops.eye(count, dtype="bool"))), ops.logical_not(same)


def _mean_over(counted, loss):
    """Values per row whose mean is the mean of `loss` over the `counted` places; zeros if there are none."""
    values = ops.where(counted, loss, 0.0)
    if len(values.shape) == 2:
        values = ops.sum(values, axis=1)
    count = ops.maximum(ops.sum(ops.cast(counted, loss.dtype)), 1.0)
    return values * (ops.cast(ops.shape(loss)[0], loss.dtype) / count)
