"""Losses and their derivatives: each gives its mean over the batch and the gradient of that to the predictions.

The formulas stand for one prediction; the mean goes over everything, for the softmax over everything but the classes.
Where the papers write probabilities these take logits, which can be computed without `log(0)`.
"""

import numpy as np

from kzoo.scratch.activations import sigmoid, softmax

__all__ = [
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "hinge", "huber",
    "mean_absolute_error", "mean_squared_error", "sparse_categorical_crossentropy",
]  # fmt: skip


def mean_squared_error(y_true, y_pred):
    """`(p - y)^2`."""
    error = y_pred - _like(y_true, y_pred)
    return np.mean(error**2), 2 * error / error.size


def mean_absolute_error(y_true, y_pred):
    """`|p - y|`; its derivative at 0 is taken for 0."""
    error = y_pred - _like(y_true, y_pred)
    return np.mean(np.abs(error)), np.sign(error) / error.size


def huber(y_true, y_pred, delta=1.0):
    """`e^2 / 2` up to an error of `delta`, and `delta |e| - delta^2 / 2` beyond: Huber (1964)."""
    error = y_pred - _like(y_true, y_pred)
    clipped = np.clip(error, -delta, delta)
    return np.mean(clipped * (error - 0.5 * clipped)), clipped / error.size


def hinge(y_true, y_pred):
    """`max(0, 1 - y p)` with `y` of -1 or 1 (0 is taken for -1): Cortes and Vapnik (1995), Support-vector networks."""
    y = _like(y_true, y_pred)
    sign = np.where(y > 0, 1, -1).astype(y_pred.dtype)
    margin = 1 - sign * y_pred
    return np.mean(np.maximum(margin, 0)), np.where(margin > 0, -sign, 0) / margin.size


def binary_crossentropy(y_true, logits):
    """`-y log(s) - (1 - y) log(1 - s)` with `s = sigmoid(x)`, as `max(x, 0) - x y + log(1 + exp(-|x|))`."""
    y = _like(y_true, logits)
    values = np.maximum(logits, 0) - logits * y + np.log1p(np.exp(-np.abs(logits)))
    return np.mean(values), (sigmoid(logits) - y) / logits.size


def binary_focal_crossentropy(y_true, logits, gamma=2.0, alpha=None):
    """`-a (1 - q)^gamma log(q)`, with `q` the probability given to the truth: Lin et al., arXiv:1708.02002.

    With `x'` the logit and its sign turned to the truth's, `q = sigmoid(x')` and the derivative to `x'` is
    `a (1 - q)^gamma (gamma q log(q) - (1 - q))`.

    Args:
        y_true: 0 or 1.
        logits: of the same shape.
        gamma: how much easy examples are held back; 0 gives the cross-entropy.
        alpha: the weight `a` of the ones; the zeros weigh `1 - alpha`. Without it all weigh 1.
    """
    y = _like(y_true, logits)
    sign = 2 * y - 1
    x = sign * logits
    q, log_q = sigmoid(x), np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    weight = np.ones_like(x) if alpha is None else np.where(y > 0, alpha, 1 - alpha).astype(x.dtype)
    focus = weight * sigmoid(-x) ** gamma
    return np.mean(-focus * log_q), sign * focus * (gamma * q * log_q - sigmoid(-x)) / x.size


def categorical_crossentropy(y_true, logits, label_smoothing=0.0):
    """`-sum(y log(softmax(x)))` over the classes; the gradient is `softmax(x) - y`.

    Args:
        y_true: probabilities, `(..., classes)`.
        logits: of the same shape.
        label_smoothing: the share of each target that is spread over all classes, arXiv:1512.00567.
    """
    y = _like(y_true, logits)
    y = y * (1 - label_smoothing) + label_smoothing / y.shape[-1]
    shifted = logits - logits.max(-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    count = logits.size // logits.shape[-1]
    # Targets that do not sum to 1 scale the softmax by what they do sum to.
    gradient = softmax(logits) * y.sum(-1, keepdims=True) - y
    return -np.sum(y * log_probabilities) / count, gradient / count


def sparse_categorical_crossentropy(y_true, logits):
    """The same for classes given as integers, `(...)`, with logits `(..., classes)`."""
    y_true = np.asarray(y_true)
    if y_true.dtype.kind not in "iu" or y_true.shape != logits.shape[:-1]:
        raise ValueError(
            f"there must be one integer for each row of logits. Received: y_true of type {y_true.dtype} and "
            f"shape {y_true.shape}, logits of {logits.shape}"
        )
    return categorical_crossentropy(np.eye(logits.shape[-1], dtype=logits.dtype)[y_true], logits)


def _like(y_true, y_pred):
    y_true = np.asarray(y_true, y_pred.dtype)
    # (b,) minus (b, 1) would broadcast to (b, b) and train on nonsense.
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"targets and predictions must have one shape. Received: y_true of {y_true.shape}, "
            f"y_pred of {y_pred.shape}"
        )
    return y_true
