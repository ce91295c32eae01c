"""What `losses.py` compares: each loss and metric of kzoo, and the same as one would write or find it otherwise.

A pair is `(ours, theirs, arguments)`. The peers are straightforward compositions of Keras operations, as a
`keras.losses.Loss` with values per example or a `keras.metrics.Mean` like ours, or Keras's own loss or metric where one
is the same. Losses are differentiated with respect to the last argument.
"""

import math

import keras
import numpy as np
from keras import ops

from kzoo import losses, metrics

BATCH, DIM, CLASSES = 128, 128, 10


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def labels(*shape, high=CLASSES):
    return np.random.default_rng(1).integers(0, high, shape).astype("int32")


def corners(seed):
    points = np.random.default_rng(seed).uniform(0, 1, (8192, 2, 2)).astype("float32")
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=-1)


# ---------------------------------------------------------------- the peers of losses


class Plain(keras.losses.Loss):
    """A function as a loss."""

    def __init__(self, function):
        super().__init__()
        self.call = function


def normalised(x):
    return ops.normalize(x, axis=-1)


def distances(x):
    squares = ops.sum(ops.square(x), axis=1)
    return ops.maximum(squares[:, None] + squares[None] - 2 * ops.matmul(x, ops.transpose(x)), 0.0)


def pairs(y):
    same = ops.equal(y[:, None], y[None])
    return ops.logical_and(same, ops.logical_not(ops.eye(y.shape[0], dtype="bool"))), ops.logical_not(same)


def contrastive(y, x):
    d = ops.sqrt(ops.sum(ops.square(x[:, 0] - x[:, 1]), axis=-1) + 1e-12)
    return 0.5 * (y * d**2 + (1 - y) * ops.maximum(1.0 - d, 0.0) ** 2)


def semi_hard(y, x):
    """All triplets at once, differentiated as they stand."""
    d = distances(x)
    positive, negative = pairs(y)
    farther = ops.logical_and(negative[:, None, :], d[:, None, :] > d[:, :, None])
    nearest = ops.min(ops.where(farther, d[:, None, :], 1e30), axis=-1)
    farthest = ops.max(ops.where(negative, d, -1e30), axis=-1, keepdims=True)
    chosen = ops.where(ops.any(farther, axis=-1), nearest, farthest)
    counted = ops.cast(positive, x.dtype)
    return ops.sum(counted * ops.maximum(d - chosen + 0.2, 0.0)) / ops.sum(counted)


def hard(y, x):
    d = ops.sqrt(distances(x) + 1e-12)
    positive, negative = pairs(y)
    far = ops.max(ops.where(positive, d, -1e30), axis=1)
    near = ops.min(ops.where(negative, d, 1e30), axis=1)
    return ops.maximum(far - near + 0.2, 0.0)


def nt_xent(y, x):
    """The whole matrix of similarities and Keras's cross-entropy."""
    z = normalised(ops.concatenate([x[:, 0], x[:, 1]], axis=0))
    count = x.shape[0]
    logits = ops.matmul(z, ops.transpose(z)) / 0.1 - 1e9 * ops.eye(2 * count)
    targets = ops.concatenate([ops.arange(count) + count, ops.arange(count)])
    return ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)


def info_nce(keys, queries):
    logits = ops.matmul(normalised(queries), ops.transpose(normalised(keys))) / 0.07
    return ops.sparse_categorical_crossentropy(ops.arange(queries.shape[0]), logits, from_logits=True)


def supervised(y, x):
    z = normalised(x)
    itself = ops.eye(x.shape[0])
    log_p = ops.log_softmax(ops.matmul(z, ops.transpose(z)) / 0.1 - 1e9 * itself, axis=1)
    positive = ops.cast(pairs(y)[0], x.dtype)
    return -ops.sum(positive * log_p, axis=1) / ops.maximum(ops.sum(positive, axis=1), 1.0)


def capsules(y, v):
    present, absent = ops.maximum(0.9 - v, 0.0) ** 2, ops.maximum(v - 0.1, 0.0) ** 2
    return ops.sum(y * present + 0.5 * (1 - y) * absent, axis=-1)


def distilled(teacher, student):
    divergence = keras.losses.KLDivergence()
    return 16.0 * divergence(ops.softmax(teacher / 4.0), ops.softmax(student / 4.0))


def overlap(kind):
    def loss(a, b):
        def area(box):
            return ops.maximum(box[:, 2] - box[:, 0], 0.0) * ops.maximum(box[:, 3] - box[:, 1], 0.0)

        low, high = ops.maximum(a[:, :2], b[:, :2]), ops.minimum(a[:, 2:], b[:, 2:])
        shared = area(ops.concatenate([low, high], axis=1))
        union = area(a) + area(b) - shared
        value = 1.0 - shared / (union + 1e-7)
        low, high = ops.minimum(a[:, :2], b[:, :2]), ops.maximum(a[:, 2:], b[:, 2:])
        if kind == "GIoU":
            around = area(ops.concatenate([low, high], axis=1))
            value += (around - union) / (around + 1e-7)
        if kind in ("DIoU", "CIoU"):
            apart = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2
            value += ops.sum(apart**2, axis=1) / (ops.sum((high - low) ** 2, axis=1) + 1e-7)
        if kind == "CIoU":
            slopes = [ops.arctan2(c[:, 2] - c[:, 0], c[:, 3] - c[:, 1] + 1e-7) for c in (a, b)]
            v = 4 / math.pi**2 * (slopes[0] - slopes[1]) ** 2
            value += ops.stop_gradient(v / (shared / (union + 1e-7) * -1.0 + 1.0 + v)) * v
        return value

    return loss


def mmd(x, y):
    def squares(a, b):
        return ops.sum(ops.square(a[:, None] - b[None]), axis=-1)

    both = ops.concatenate([x, y], axis=0)
    width = ops.stop_gradient(ops.mean(squares(both, both)))

    def kernel(a, b):
        d = squares(a, b)
        return sum(ops.mean(ops.exp(-d / (s * width))) for s in (0.25, 0.5, 1.0, 2.0, 4.0)) / 5

    return kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)


def coral(x, y):
    def covariance(a):
        a = a - ops.mean(a, axis=0)
        return ops.matmul(ops.transpose(a), a) / (a.shape[0] - 1)

    value = ops.sum(ops.square(covariance(x) - covariance(y))) / (4 * x.shape[1] ** 2)
    return ops.broadcast_to(value, (x.shape[0],))


def kl_normal(mean, log_variance):
    return 0.5 * ops.sum(ops.exp(log_variance) + mean**2 - 1 - log_variance, axis=-1)


def loss_pairs():
    """Name to `(ours, theirs, arguments)`."""
    y, one_hot = labels(BATCH), np.eye(CLASSES, dtype="float32")[labels(BATCH)]
    half, x = (np.arange(BATCH) % 2).astype("float32"), draw(BATCH, DIM)
    views, logits, teacher = draw(BATCH, 2, DIM), draw(4096, 1), draw(BATCH, 1000, seed=1)
    real = (np.arange(4096)[:, None] % 2).astype("float32")
    cross = keras.losses.BinaryCrossentropy(from_logits=True)
    found = {
        "Contrastive": (losses.Contrastive(), contrastive, (half, views)),
        "TripletSemiHard": (losses.TripletSemiHard(), semi_hard, (y, x)),
        "TripletHard": (losses.TripletHard(), hard, (y, x)),
        "NTXent, 256 views": (losses.NTXent(), nt_xent, (half, views)),
        "NTXent, 4096 views": (losses.NTXent(), nt_xent, (half, draw(2048, 2, DIM))),
        "InfoNCE": (losses.InfoNCE(), info_nce, (draw(BATCH, DIM, seed=2), x)),
        "SupervisedContrastive": (losses.SupervisedContrastive(), supervised, (y, x)),
        "CapsuleMargin": (losses.CapsuleMargin(), capsules, (one_hot, np.abs(draw(BATCH, CLASSES)))),
        "Distillation": (losses.Distillation(), distilled, (teacher, draw(BATCH, 1000))),
        "MMD": (losses.MMD(), mmd, (draw(BATCH, DIM, seed=3), x)),
        "CORAL": (losses.CORAL(), coral, (draw(BATCH, DIM, seed=3), x)),
        "kl_normal": (
            losses.kl_normal,
            kl_normal,
            (draw(1024, DIM), draw(1024, DIM, seed=1)),
        ),
        "MinimaxGAN": (losses.MinimaxGAN(), cross, (real, logits)),
        "NonSaturatingGAN": (losses.NonSaturatingGAN(), cross, (real, logits)),
        "HingeGAN": (losses.HingeGAN(), keras.losses.Hinge(), (real, logits)),
        "WassersteinGAN": (
            losses.WassersteinGAN(),
            lambda y, x: x * (1.0 - 2.0 * y),
            (real, logits),
        ),
        "LeastSquaresGAN": (
            losses.LeastSquaresGAN(),
            lambda y, x: 0.5 * (x - y) ** 2,
            (real, logits),
        ),
    }
    found |= {
        name: (getattr(losses, name)(), overlap(name), (corners(1), corners(2)))
        for name in ("IoU", "GIoU", "DIoU", "CIoU")
    }
    return {
        name: (
            *(side if isinstance(side, keras.losses.Loss) else Plain(side) for side in (ours, theirs)),
            arguments,
        )
        for name, (ours, theirs, arguments) in found.items()
    }


# ---------------------------------------------------------------- the peers of metrics


class Composed(keras.metrics.Mean):
    """The mean of a function of the predictions."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def update_state(self, y_true, y_pred):
        super().update_state(self.function(y_true, y_pred))


def ssim(x, y):
    """One two-dimensional window of 11 × 11 per channel."""
    places = np.arange(11) - 5
    line = np.exp(-0.5 * (places / 1.5) ** 2)
    window = np.outer(line, line)[:, :, None, None] / line.sum() ** 2
    kernel = ops.convert_to_tensor(np.repeat(window, x.shape[-1], axis=2).astype("float32"))

    def blurred(a):
        return ops.depthwise_conv(a, kernel, padding="valid", data_format="channels_last")

    mx, my = blurred(x), blurred(y)
    vx, vy, v = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    found = (2 * mx * my + 1e-4) * (2 * v + 9e-4) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
    return ops.mean(found, axis=(1, 2, 3))


def psnr(x, y):
    return -10.0 * ops.log10(ops.mean(ops.square(x - y), axis=(1, 2, 3)) + 1e-10)


def ndcg(relevance, scores):
    def gain(order):
        return ops.sum(ops.take_along_axis(relevance, order, axis=1)[:, :10] * discounts, axis=1)

    discounts = 1.0 / ops.log2(ops.cast(ops.arange(10) + 2, "float32"))
    return gain(ops.argsort(-scores, axis=1)) / gain(ops.argsort(-relevance, axis=1))


class Bins(keras.metrics.Metric):
    """Calibration by scattering three sums."""

    def __init__(self):
        super().__init__()
        self.totals = self.add_variable((15, 3), initializer="zeros")

    def update_state(self, y_true, y_pred):
        confidence, right = ops.max(y_pred, axis=1), ops.equal(ops.argmax(y_pred, axis=1), y_true)
        rows = ops.stack([ops.ones_like(confidence), confidence, ops.cast(right, "float32")], axis=1)
        bins = ops.minimum(ops.cast(confidence * 15, "int32"), 14)
        self.totals.assign_add(ops.segment_sum(rows, bins, num_segments=15))


class Sums(keras.metrics.Metric):
    """Moments of features as plain sums of float64, where the engine has it."""

    def __init__(self, dim):
        super().__init__()
        wide = metrics.FrechetDistance(dim=1).variables[0].dtype
        self.sums = [self.add_variable((dim,), initializer="zeros", dtype=wide) for _ in range(2)]
        self.squares = [self.add_variable((dim, dim), initializer="zeros", dtype=wide) for _ in range(2)]

    def update_state(self, y_true, y_pred):
        for x, total, squares in zip((y_true, y_pred), self.sums, self.squares):
            x = ops.cast(x, total.dtype)
            total.assign_add(ops.sum(x, axis=0))
            squares.assign_add(ops.matmul(ops.transpose(x), x))


def metric_pairs():
    """Name to `(ours, theirs, arguments)`; both have `update_state` and variables."""
    images = np.random.default_rng(0).uniform(0, 1, (2, 16, 64, 64, 3)).astype("float32")
    p = np.exp(draw(4096, CLASSES))
    p /= p.sum(axis=1, keepdims=True)
    tokens, token_logits = labels(32, 64, high=1000), draw(32, 64, 1000)
    segments, scores = labels(2, 64, 64, high=4), draw(2, 64, 64, 4)
    relevance, ranks = labels(256, 100, high=3).astype("float32"), draw(256, 100)
    one = np.eye(100, dtype="float32")[labels(256, high=100)]
    return {
        "Perplexity": (
            metrics.Perplexity(from_logits=True),
            keras.metrics.SparseCategoricalCrossentropy(from_logits=True),
            (tokens, token_logits),
        ),
        "DiceScore": (
            metrics.DiceScore(4),
            keras.metrics.MeanIoU(4, sparse_y_pred=False),
            (segments, scores),
        ),
        "ExpectedCalibrationError": (metrics.ExpectedCalibrationError(), Bins(), (labels(4096), p)),
        "PSNR": (metrics.PSNR(), Composed(psnr), tuple(images)),
        "SSIM": (metrics.SSIM(), Composed(ssim), tuple(images)),
        "FrechetDistance": (
            metrics.FrechetDistance(dim=256),
            Sums(256),
            (draw(256, 256), draw(256, 256, seed=1)),
        ),
        "NDCG": (metrics.NDCG(10), Composed(ndcg), (relevance, ranks)),
        "HitRate": (metrics.HitRate(10), keras.metrics.TopKCategoricalAccuracy(10), (one, ranks)),
    }
