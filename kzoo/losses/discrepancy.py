"""How different two samples' distributions are: maximum mean discrepancy and the difference of covariances.

For domain adaptation: `y_true` holds features of the source, `y_pred` of the target; the gradient reaches both where
both are computed by the model.
"""

import keras
from keras import ops

from kzoo.losses.distances import squared_distances


@keras.saving.register_keras_serializable("kzoo")
class MMD(keras.losses.Loss):
    """Squared maximum mean discrepancy of two samples under a sum of Gaussian kernels of several widths.

    `mean k(x, x') + mean k(y, y') - 2 mean k(x, y)` with `k(x, y) = mean_s exp(-‖x - y‖² / (s · width))`, the biased
    estimate, which is never negative. `y_true` `(n, d)` and `y_pred` `(m, d)`; the values `(m,)` are each `y`'s part,
    and their mean is the discrepancy. Gretton et al. (2012), JMLR 13; kernels of several widths as in DAN, Long et al.
    (2015), arXiv:1502.02791.

    Args:
        bandwidths: the `s`, multiples of the width.
        width: a squared distance; `None` for the mean squared distance of all pairs of the two samples, a constant to
            the gradient.

    Raises:
        ValueError: if there is no bandwidth, one is not positive, or the features are not `(n, d)` and `(m, d)`.
    """

    def __init__(
        self,
        bandwidths=(0.25, 0.5, 1.0, 2.0, 4.0),
        width=None,
        reduction="sum_over_batch_size",
        name="mmd",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        bandwidths = tuple(float(s) for s in bandwidths)
        if not bandwidths or min(bandwidths) <= 0:
            raise ValueError(f"bandwidths must be positive numbers. Received: bandwidths={bandwidths}")
        if width is not None and width <= 0:
            raise ValueError(f"the width must be positive. Received: width={width}")
        self.bandwidths = bandwidths
        self.width = width

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        _check_samples(y_true, y_pred, "MMD")
        count = ops.shape(y_true)[0]
        both = ops.concatenate([y_true, y_pred], axis=0)
        squares = squared_distances(both, both)
        width = ops.stop_gradient(ops.mean(squares)) if self.width is None else self.width
        width = ops.where(width > 0, width, 1.0)  # all rows are the same
        kernels = sum(ops.exp(-squares / (s * width)) for s in self.bandwidths) / len(self.bandwidths)
        of_y = ops.mean(kernels[count:, count:], axis=1) - 2.0 * ops.mean(kernels[count:, :count], axis=1)
        return of_y + ops.mean(kernels[:count, :count])

    def get_config(self):
        return super().get_config() | {"bandwidths": self.bandwidths, "width": self.width}


@keras.saving.register_keras_serializable("kzoo")
class CORAL(keras.losses.Loss):
    """`‖C_true - C_pred‖² / 4d²`: the difference of two samples' covariances, in the Frobenius norm.

    `y_true` `(n, d)` and `y_pred` `(m, d)`. The values `(m,)` are all the same: it belongs to the batch. A sample of
    one row has covariance zero. Sun and Saenko (2016), arXiv:1607.01719.

    Raises:
        ValueError: if the features are not `(n, d)` and `(m, d)`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="coral", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        _check_samples(y_true, y_pred, "CORAL")
        ours, theirs = _degrees(y_pred), _degrees(y_true)
        scatter = _scatter(y_true)
        if y_true.shape[0] is None or y_true.shape[0] != y_pred.shape[0]:
            scatter = scatter * (ours / theirs)
        difference = scatter - _scatter(y_pred)  # of covariances, times our degrees of freedom
        value = ops.sum(ops.square(difference)) / (4.0 * y_pred.shape[-1] ** 2 * ours**2)
        return ops.broadcast_to(value, (ops.shape(y_pred)[0],))


def _scatter(x):
    x = x - ops.mean(x, axis=0, keepdims=True)
    return ops.matmul(ops.transpose(x), x)


def _degrees(x):
    if x.shape[0] is None:
        return ops.cast(ops.maximum(ops.shape(x)[0] - 1, 1), x.dtype)
    return float(max(x.shape[0] - 1, 1))


def _check_samples(y_true, y_pred, name):
    if len(y_true.shape) != 2 or len(y_pred.shape) != 2 or y_true.shape[1] != y_pred.shape[1]:
        raise ValueError(
            f"{name} needs features of shapes (n, d) and (m, d). "
            f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        )
