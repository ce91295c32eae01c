"""Losses for the parity gate: `"Name"` or `"Name, what is special"` to what makes `(loss, y_true, y_pred)`."""

import keras
import numpy as np

from kzoo import losses


class Of(keras.losses.Loss):
    """A function of `y_true` and `y_pred` as a loss."""

    def __init__(self, function):
        super().__init__()
        self.call = function


def draw(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(size=shape) * scale


def boxes(seed):
    """Boxes that overlap, that lie apart, and one of no area."""
    corners = np.random.default_rng(seed).uniform(0.0, 1.0, (6, 2, 2))
    found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=-1)
    found[-1, 2:] = found[-1, :2]
    return found


LABELS = np.array([0, 1, 0, 2, 1, 0])
SOME = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
# Far enough from the origin and each other that no two distances are the same.
EMBEDDINGS = draw(6, 4, seed=3)
VIEWS = draw(6, 2, 4, seed=4)
GANS = {
    name: getattr(losses, name)
    for name in ("MinimaxGAN", "NonSaturatingGAN", "WassersteinGAN", "HingeGAN", "LeastSquaresGAN")
}

LOSSES = {
    "Contrastive": lambda: (losses.Contrastive(2.0), SOME, VIEWS),
    "TripletSemiHard": lambda: (losses.TripletSemiHard(2.0), LABELS, EMBEDDINGS),
    "TripletHard": lambda: (losses.TripletHard(), LABELS, EMBEDDINGS),
    "TripletHard, soft margin": lambda: (losses.TripletHard(None), LABELS, EMBEDDINGS),
    "TripletHard, one class": lambda: (losses.TripletHard(), np.zeros(6), EMBEDDINGS),
    "NTXent": lambda: (losses.NTXent(), SOME, VIEWS),
    "NTXent, blocks": lambda: (losses.NTXent(block_size=5), SOME, VIEWS),
    "InfoNCE": lambda: (losses.InfoNCE(), draw(6, 4, seed=5), EMBEDDINGS),
    "InfoNCE, queue": lambda: (losses.InfoNCE(in_batch=False), draw(9, 4, seed=5), EMBEDDINGS),
    "InfoNCE, symmetric": lambda: (losses.InfoNCE(symmetric=True), draw(9, 4, seed=5), EMBEDDINGS),
    "NegativeSampling": lambda: (
        losses.NegativeSampling(),
        np.array([[1, 0, -1, 0], [1, -1, 0, 0]] * 3),
        3.0 * EMBEDDINGS,
    ),
    "SmoothedCrossentropy": lambda: (
        losses.SmoothedCrossentropy(0.1, ignore_class=-1),
        np.array([0, 1, 3, 2, 3, 0]),
        EMBEDDINGS,
    ),
    "SupervisedContrastive": lambda: (losses.SupervisedContrastive(), LABELS, EMBEDDINGS),
    "CapsuleMargin": lambda: (losses.CapsuleMargin(), np.eye(4)[[0, 1, 2, 3, 0, 1]], np.abs(EMBEDDINGS) / 2),
    "Distillation": lambda: (losses.Distillation(3.0), draw(6, 4, seed=6, scale=5.0), 5.0 * EMBEDDINGS),
    "MMD": lambda: (losses.MMD(), draw(5, 4, seed=7) + 1.0, EMBEDDINGS),
    "MMD, width": lambda: (losses.MMD(width=3.0), draw(5, 4, seed=7) + 1.0, EMBEDDINGS),
    "CORAL": lambda: (losses.CORAL(), draw(5, 4, seed=7) * 2.0, EMBEDDINGS),
    "kl_normal": lambda: (Of(losses.kl_normal), draw(6, 4, seed=8), EMBEDDINGS),
    "kl_categorical": lambda: (
        Of(lambda prior, x: losses.kl_categorical(x, prior)),
        draw(6, 4, seed=8),
        EMBEDDINGS,
    ),
}
LOSSES |= {name: lambda loss=loss: (loss(), SOME, draw(6)) for name, loss in GANS.items()}
LOSSES |= {
    f"{name}, generator": lambda loss=loss: (Of(lambda y_true, x: loss().fool(x)), SOME, draw(6))
    for name, loss in GANS.items()
}
LOSSES |= {
    name: lambda name=name: (getattr(losses, name)(), boxes(1), boxes(2))
    for name in ("IoU", "GIoU", "DIoU", "CIoU")
}
