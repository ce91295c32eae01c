"""Inception v3 in torchvision, timm and keras.applications."""

import importlib
from unittest import mock

from oracle import Case

inception_v3 = importlib.import_module("kzoo.models.vision.inception_v3")

STAGES = {"stem": "Conv2d_4a_3x3", "stage_1": "Mixed_5d", "stage_2": "Mixed_6e", "stage_3": "Mixed_7c"}
SIZES = ((75, 75), (98, 80))
THIN = 16


def torchvision(auxiliary=True):
    def make():
        from torch import nn
        from torchvision.models import inception as t

        def thin(inputs, outputs, **arguments):
            return t.BasicConv2d(inputs if inputs == 3 else inputs // THIN, outputs // THIN, **arguments)

        def thinned(block):
            return lambda *args, **kwargs: block(*args, conv_block=thin, **kwargs)

        blocks = [t.InceptionA, t.InceptionB, t.InceptionC, t.InceptionD, t.InceptionE, t.InceptionAux]
        blocks = [thin, *map(thinned, blocks)]
        model = t.Inception3(5, auxiliary, inception_blocks=blocks, init_weights=False)
        model.fc = nn.Linear(2048 // THIN, 5)
        if auxiliary:
            model.AuxLogits.fc = nn.Linear(768 // THIN, 5)
        return model

    return make


def timm():
    from torch import nn

    t = importlib.import_module("timm.models.inception_v3")
    normal = t.ConvNormAct

    def thin(inputs, outputs, **arguments):
        return normal(inputs if inputs == 3 else inputs // THIN, outputs // THIN, **arguments)

    with mock.patch.object(t, "ConvNormAct", thin):
        model = t.InceptionV3(num_classes=5)
    model.fc = nn.Linear(2048 // THIN, 5)
    return model


CASES = [
    Case("inception_v3", "torchvision", torchvision(), dict(width=1 / THIN), STAGES, sizes=SIZES),
    Case("inception_v3", "timm", timm, dict(width=1 / THIN), STAGES, sizes=SIZES),
    Case(
        *("inception_v3", "keras", "InceptionV3", {}),
        {"stage_1": "mixed2", "stage_2": "mixed7", "stage_3": "mixed10"},
        sizes=SIZES,
    ),
]

# torchvision 0.28 without the auxiliary classifier (27,161,264 with it), timm 1.0.31.
PARAMETERS = {"inception_v3": 23_834_568}
# One module of each kind.
CUT = tuple(modules[:2] for modules in inception_v3.STAGES)
TINY = {"inception_v3": dict(image_shape=(16, 15, 3), width=1 / 16, stem="small", stages=CUT)}
