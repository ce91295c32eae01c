"""Metrics beside `keras.metrics`; those of texts collect strings on the host."""

from kzoo.metrics.answers import ExactMatch, TokenF1
from kzoo.metrics.calibration import ExpectedCalibrationError, MaximumCalibrationError
from kzoo.metrics.dice import DiceScore
from kzoo.metrics.entities import EntityF1
from kzoo.metrics.frechet import FrechetDistance
from kzoo.metrics.image_quality import PSNR, SSIM
from kzoo.metrics.manifold import ManifoldPrecisionRecall
from kzoo.metrics.perplexity import Perplexity
from kzoo.metrics.ranking import NDCG, HitRate
from kzoo.metrics.summaries import ROUGE
from kzoo.metrics.transcripts import CER, WER
from kzoo.metrics.translation import BLEU, CHRF

__all__ = [
    "BLEU",
    "CER",
    "CHRF",
    "NDCG",
    "PSNR",
    "ROUGE",
    "SSIM",
    "WER",
    "DiceScore",
    "EntityF1",
    "ExactMatch",
    "ExpectedCalibrationError",
    "FrechetDistance",
    "HitRate",
    "ManifoldPrecisionRecall",
    "MaximumCalibrationError",
    "Perplexity",
    "TokenF1",
]
