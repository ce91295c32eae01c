"""Losses beside `keras.losses`."""

from kzoo.losses.adversarial import (
    HingeGAN,
    LeastSquaresGAN,
    MinimaxGAN,
    NonSaturatingGAN,
    WassersteinGAN,
)
from kzoo.losses.boxes import CIoU, DIoU, GIoU, IoU
from kzoo.losses.capsule_margin import CapsuleMargin
from kzoo.losses.contrastive import Contrastive
from kzoo.losses.discrepancy import CORAL, MMD
from kzoo.losses.distillation import Distillation
from kzoo.losses.divergence import kl_categorical, kl_normal
from kzoo.losses.info_nce import InfoNCE
from kzoo.losses.negative_sampling import NegativeSampling
from kzoo.losses.nt_xent import NTXent
from kzoo.losses.smoothed import SmoothedCrossentropy
from kzoo.losses.supervised_contrastive import SupervisedContrastive
from kzoo.losses.triplet import TripletHard, TripletSemiHard

__all__ = [
    "CORAL",
    "MMD",
    "CIoU",
    "CapsuleMargin",
    "Contrastive",
    "DIoU",
    "Distillation",
    "GIoU",
    "HingeGAN",
    "InfoNCE",
    "IoU",
    "LeastSquaresGAN",
    "MinimaxGAN",
    "NTXent",
    "NegativeSampling",
    "NonSaturatingGAN",
    "SmoothedCrossentropy",
    "SupervisedContrastive",
    "TripletHard",
    "TripletSemiHard",
    "WassersteinGAN",
    "kl_categorical",
    "kl_normal",
]
