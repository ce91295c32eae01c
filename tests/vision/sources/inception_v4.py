"""Inception v4 in timm."""

import importlib
from unittest import mock

from oracle import Case

THIN = 16


def timm():
    from torch import nn

    inception_v4 = importlib.import_module("timm.models.inception_v4")

    def thin(inputs, outputs, **arguments):
        return normal(inputs if inputs == 3 else inputs // THIN, outputs // THIN, **arguments)

    normal = inception_v4.ConvNormAct
    with mock.patch.object(inception_v4, "ConvNormAct", thin):
        model = inception_v4.InceptionV4(num_classes=5)
    model.last_linear = nn.Linear(1536 // THIN, 5)
    keep = (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 18, 19)  # two, two and one of its repeated modules
    model.features = nn.Sequential(*(model.features[i] for i in keep))
    return model


CASES = [
    Case(
        *("inception_v4", "timm", timm, dict(width=1 / THIN, depths=(2, 2, 1))),
        {"stem": "features.4", "stage_1": "features.7", "stage_2": "features.10", "stage_3": "features.12"},
        sizes=((75, 75), (98, 80)),
    )
]
PARAMETERS = {"inception_v4": 42_679_816}  # timm 1.0.31
TINY = {"inception_v4": dict(image_shape=(16, 15, 3), width=1 / 16, depths=(1, 1, 1), stem="small")}
