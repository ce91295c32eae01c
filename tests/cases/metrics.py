"""Metrics for the parity gate: `"Name"` or `"Name, what is special"` to a function that makes `(metric, batches)`.

`batches` is a list of the positional arguments of `update_state`, as NumPy arrays.
"""

import keras
import numpy as np

from kzoo import metrics


class OfTexts:
    """A metric of texts in the clothes of one of tensors: each update hands it the same pairs."""

    def __init__(self, metric, references, hypotheses):
        self.metric, self.pairs = metric, (references, hypotheses)

    def update_state(self):
        self.metric.update(*self.pairs)

    def result(self):
        return {name: np.asarray(value, "float32") for name, value in self.metric.result().items()}

    def reset_state(self):
        self.metric.reset()


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def integers(high, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape).astype("int32")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def images(seed):
    """Smooth pictures between 0 and 1, the second like the first with noise."""
    first = np.cumsum(np.random.default_rng(seed).uniform(0, 0.1, (3, 16, 14, 2)), axis=1) / 1.6
    return first, np.clip(first + 0.05 * draw(3, 16, 14, 2, seed=seed), 0.0, 1.0)


def doubled():
    """An extractor of features with weights of its own: `(8,)` to 3 numbers."""
    kernel = draw(8, 3, seed=1)
    inputs = keras.Input((8,))
    dense = keras.layers.Dense(3)
    model = keras.Model(inputs, dense(inputs))
    dense.set_weights([kernel, np.zeros(3)])
    return model


TOKENS = [(integers(7, 2, 5, seed=s), 3 * draw(2, 5, 7, seed=s)) for s in range(2)]
CLASSES = [(integers(4, 20, seed=s), softmax(3 * draw(20, 4, seed=s))) for s in range(2)]
SEGMENTS = [(integers(4, 2, 6, 5, seed=s), draw(2, 6, 5, 4, seed=s)) for s in range(2)]
PICTURES = [images(s) for s in range(2)]
# Far apart: between near ones the distance is a small difference of large traces.
FEATURES = [(draw(20, 8, seed=s), 3.0 * draw(20, 8, seed=s + 5) + 2.0) for s in range(2)]
NEAR = [(draw(30, 3, seed=s), draw(25, 3, seed=s + 5) + 0.5) for s in range(2)]
RANKINGS = [(integers(3, 5, 8, seed=s), draw(5, 8, seed=s)) for s in range(2)]
REFERENCES = ["the cat sat on the mat", "a quick brown fox jumps", "hello there world again"]
HYPOTHESES = ["the cat is on the mat", "the quick brown fox jumped", "hello there world again"]
TAGS = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "O"]]
FOUND = [["B-PER", "I-PER", "O", "O"], ["B-ORG", "B-ORG", "O"]]

METRICS = {
    "Perplexity": lambda: (metrics.Perplexity(from_logits=True), TOKENS),
    "Perplexity, ignored and weighted": lambda: (
        metrics.Perplexity(ignore_class=0),
        [(y, softmax(p), np.array([0.5, 2.0])) for y, p in TOKENS],
    ),
    "DiceScore": lambda: (metrics.DiceScore(4), SEGMENTS),
    "DiceScore, per class": lambda: (metrics.DiceScore(4, average=None, ignore_class=2), SEGMENTS),
    "ExpectedCalibrationError": lambda: (metrics.ExpectedCalibrationError(10), CLASSES),
    "ExpectedCalibrationError, weighted logits": lambda: (
        metrics.ExpectedCalibrationError(10, from_logits=True),
        [(y, np.log(p), np.linspace(0.0, 1.0, 20)) for y, p in CLASSES],
    ),
    "MaximumCalibrationError": lambda: (metrics.MaximumCalibrationError(10), CLASSES),
    "PSNR": lambda: (metrics.PSNR(), PICTURES),
    "SSIM": lambda: (metrics.SSIM(), PICTURES),
    "SSIM, reflect": lambda: (metrics.SSIM(padding="reflect"), PICTURES),
    "FrechetDistance": lambda: (metrics.FrechetDistance(dim=8), FEATURES),
    "FrechetDistance, extractor": lambda: (metrics.FrechetDistance(doubled()), FEATURES),
    "ManifoldPrecisionRecall": lambda: (metrics.ManifoldPrecisionRecall(), NEAR),
    "NDCG": lambda: (metrics.NDCG(), RANKINGS),
    "NDCG, exponential at 3": lambda: (metrics.NDCG(3, exponential=True), RANKINGS),
    "HitRate": lambda: (metrics.HitRate(2), RANKINGS),
    "EntityF1": lambda: (OfTexts(metrics.EntityF1(), TAGS, FOUND), [()]),
}
METRICS |= {
    name: lambda name=name: (OfTexts(getattr(metrics, name)(), REFERENCES, HYPOTHESES), [()])
    for name in ("BLEU", "CHRF", "ROUGE", "WER", "CER", "ExactMatch", "TokenF1")
}
