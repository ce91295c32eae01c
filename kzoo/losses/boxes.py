"""How badly boxes overlap: 1 minus intersection over union, and three refinements with a gradient for boxes apart.

Boxes are `(x1, y1, x2, y2)` with `x1 <= x2` and `y1 <= y2`, in any unit. A box whose corners are swapped counts as one
of no area. Boxes of no area give finite values and gradients: their intersection over union is zero.
"""

import math

import keras
from keras import ops


class BoxLoss(keras.losses.Loss):
    """`1 - overlap`, where a subclass says what `overlap` is.

    `y_true` and `y_pred` are `(…, 4)`; values have the shape without the last axis.
    """

    def __init__(self, reduction="sum_over_batch_size", name=None, dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def overlap(self, true, pred):
        raise NotImplementedError

    def call(self, y_true, y_pred):
        for name, boxes in (("y_true", y_true), ("y_pred", y_pred)):
            if boxes.shape[-1] != 4:
                raise ValueError(
                    f"boxes have four corners (x1, y1, x2, y2). Received: {name}.shape={boxes.shape}"
                )
        return 1.0 - self.overlap(ops.cast(y_true, y_pred.dtype), y_pred)


@keras.saving.register_keras_serializable("kzoo")
class IoU(BoxLoss):
    """`1 - |A ∩ B| / |A ∪ B|`. Boxes apart give 1 and no gradient: see `GIoU`. Yu et al. (2016), arXiv:1608.01471."""

    def overlap(self, true, pred):
        return _iou(true, pred)[0]


@keras.saving.register_keras_serializable("kzoo")
class GIoU(BoxLoss):
    """`1 - IoU + (|C| - |A ∪ B|) / |C|`, where `C` is the smallest box around both: between 0 and 2.

    Rezatofighi et al. (2019), arXiv:1902.09630.
    """

    def overlap(self, true, pred):
        iou, union, _ = _iou(true, pred)
        around = _product(_around(true, pred))
        return iou - _ratio(around - union, around)


@keras.saving.register_keras_serializable("kzoo")
class DIoU(BoxLoss):
    """`1 - IoU + ρ² / c²`: the centres' distance over the diagonal of the smallest box around both.

    Zheng et al. (2020), arXiv:1911.08287.
    """

    def overlap(self, true, pred):
        return _iou(true, pred)[0] - _centres_apart(true, pred)


@keras.saving.register_keras_serializable("kzoo")
class CIoU(BoxLoss):
    """`1 - IoU + ρ² / c² + α v`: as `DIoU`, and the shapes' difference.

    `v = 4/π² (arctan(w/h) - arctan(w'/h'))²`; `α = v / (1 - IoU + v)` is a constant to the gradient. Zheng et al.
    (2020), arXiv:1911.08287.
    """

    def overlap(self, true, pred):
        iou, _, sides = _iou(true, pred)
        v = 4.0 / math.pi**2 * ops.square(_slope(sides[0]) - _slope(sides[1]))
        alpha = ops.stop_gradient(_ratio(v, 1.0 - iou + v))
        return iou - _centres_apart(true, pred) - alpha * v


def _sides(boxes):
    return ops.relu(boxes[..., 2:] - boxes[..., :2])  # (…, 2)


def _product(sides):
    return sides[..., 0] * sides[..., 1]


def _around(a, b):
    """The sides of the smallest box around both."""
    low, high = ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:])
    return ops.relu(high - low)


def _iou(a, b):
    """Intersection over union, the union, and the sides of both."""
    low, high = ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:])
    intersection = _product(ops.relu(high - low))
    sides = _sides(a), _sides(b)
    union = _product(sides[0]) + _product(sides[1]) - intersection
    return _ratio(intersection, union), union, sides


def _ratio(a, b):
    """`a / b`, and 0 where `b` is 0."""
    positive = b > 0
    return ops.where(positive, a / ops.where(positive, b, 1.0), 0.0)


def _centres_apart(a, b):
    """Squared distance of the centres over the squared diagonal around both."""
    apart = 0.5 * (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:])
    diagonal = ops.sum(ops.square(_around(a, b)), axis=-1)
    return _ratio(ops.sum(ops.square(apart), axis=-1), diagonal)


def _slope(sides):
    """`arctan(w / h)`, with a side of no length as a very short one: the gradient stays finite."""
    sides = sides + 1e-7
    return ops.arctan2(sides[..., 0], sides[..., 1])
