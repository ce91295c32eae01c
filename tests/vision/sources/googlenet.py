"""GoogLeNet in torchvision."""

import importlib

from oracle import Case

THIN = 8


def torchvision(auxiliary=False):
    def make():
        from torch import nn

        t = importlib.import_module("torchvision.models.googlenet")

        def thin(inputs, outputs, **arguments):
            return t.BasicConv2d(inputs if inputs == 3 else inputs // THIN, outputs // THIN, **arguments)

        def module(*widths):
            return t.Inception(*widths, conv_block=thin)

        blocks = [thin, module, t.InceptionAux]
        model = t.GoogLeNet(5, auxiliary, init_weights=False, blocks=blocks)
        model.fc = nn.Linear(1024 // THIN, 5)
        return model

    return make


CASES = [
    Case(
        *("googlenet_bn", "torchvision", torchvision(), dict(width=1 / THIN)),
        {"stem": "conv3", "stage_1": "inception3b", "stage_2": "inception4e", "stage_3": "inception5b"},
        sizes=((64, 64), (81, 58)),
    ),
]
PARAMETERS = {
    "googlenet": 6_998_552,  # Caffe's network, without the auxiliary classifiers
    "googlenet_bn": 6_624_904,  # torchvision 0.28
}
TINY = {
    "googlenet": dict(image_shape=(8, 8, 3), width=1 / 4, stem="small"),
    "googlenet_bn": dict(image_shape=(65, 48, 3), width=1 / 32),
    "inception_v2": dict(image_shape=(12, 13, 3), width=1 / 32, stem="small"),
}
