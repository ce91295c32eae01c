"""Inception-ResNet v2 in timm and keras.applications."""

import importlib
from unittest import mock

from oracle import Case

THIN = 16


def timm():
    from torch import nn

    t = importlib.import_module("timm.models.inception_resnet_v2")
    convolution, unit = nn.Conv2d, t.ConvNormAct

    def thinned(make):
        return lambda inputs, outputs, *args, **arguments: make(
            inputs if inputs == 3 else inputs // THIN, outputs // THIN, *args, **arguments
        )

    # The 1x1 convolutions behind the branches are made as `nn.Conv2d`, and so are those inside `ConvNormAct`.
    plain = mock.Mock(wraps=nn, Conv2d=thinned(convolution))
    for name in ("Module", "Sequential", "MaxPool2d", "AvgPool2d", "ReLU"):
        setattr(plain, name, getattr(nn, name))
    with mock.patch.object(t, "ConvNormAct", thinned(unit)), mock.patch.object(t, "nn", plain):
        model = t.InceptionResnetV2(num_classes=5)
    model.classif = nn.Linear(1536 // THIN, 5)
    model.repeat, model.repeat_1, model.repeat_2 = model.repeat[:2], model.repeat_1[:2], model.repeat_2[:1]
    return model


CASES = [
    Case(
        *("inception_resnet_v2", "timm", timm, dict(width=1 / THIN, depths=(2, 2, 2))),
        {"stem": "conv2d_4a", "stage_1": "repeat", "stage_2": "repeat_1", "stage_3": "conv2d_7b"},
        sizes=((75, 75), (98, 80)),
    ),
    Case(
        *("inception_resnet_v2", "keras", "InceptionResNetV2", {}),
        {"stage_1": "block35_10_ac", "stage_2": "block17_20_ac", "stage_3": "conv_7b_ac"},
        sizes=((75, 75), (75, 92)),
    ),
]
PARAMETERS = {"inception_resnet_v2": 55_843_464}  # timm 1.0.31
# Scales that float32 has exactly: Keras's layer rounds the others, also in float64.
TINY = {
    "inception_resnet_v1": dict(
        image_shape=(16, 15, 3), width=1 / 16, depths=(1, 1, 1), stem="small", scales=(0.125, 0.25, 0.5)
    ),
    "inception_resnet_v2": dict(image_shape=(15, 15, 3), width=1 / 16, depths=(1, 1, 2), stem="small"),
}
