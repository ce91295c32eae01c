"""VGG in torchvision, timm and keras.applications."""

import importlib

from oracle import Case

THIN = [8, "M", 12, "M", 16, 16, "M", 20, 20, "M", 24, 24, "M"]
OURS = dict(filters=(8, 12, 16, 20, 24), hidden_dims=(40, 36))
LAST = (1, 4, 9, 14, 19)  # the last ReLU of each stage
LAST_BN = (2, 6, 13, 20, 27)


def torchvision(norm):
    def make():
        import torch
        from torch import nn

        t = importlib.import_module("torchvision.models.vgg")
        with torch.device("meta"):
            model = t.VGG(nn.Sequential(), 5, init_weights=False)
        model.features = t.make_layers(THIN, norm)
        model.classifier[0] = nn.Linear(24 * 49, 40)
        model.classifier[3] = nn.Linear(40, 36)
        model.classifier[6] = nn.Linear(36, 5)
        return model

    return make


def timm():
    t = importlib.import_module("timm.models.vgg")
    return t.VGG(THIN, num_classes=5, mlp_ratio=0.01)


def stages(last):
    return {f"stage_{i}": f"features.{n}" for i, n in enumerate(last, 1)}


def keras(name, *blocks, **options):
    """Without the head, whose dense layers make files of half a gigabyte."""
    return Case(
        *(name.lower(), "keras", name, dict(hidden_dims=())),
        {f"stage_{i}": f"block{i}_conv{n}" for i, n in enumerate(blocks, 1)},
        classes=0,
        arguments=dict(include_top=False, pooling="avg", classes=1000),
        name="notop",
    )


SIZES = ((64, 64), (230, 97))  # maps smaller and larger than 7 x 7
CASES = [
    Case("vgg11", "torchvision", torchvision(False), OURS, stages(LAST), sizes=SIZES),
    Case("vgg11_bn", "torchvision", torchvision(True), OURS, stages(LAST_BN), sizes=SIZES),
    Case("vgg11", "timm", timm, OURS | dict(hidden_dims=(40, 4096)), stages(LAST)),
    keras("VGG16", 2, 2, 3, 3, 3),
    keras("VGG19", 2, 2, 4, 4, 4),
]
PARAMETERS = {  # torchvision 0.28
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
}
TINY = {
    "vgg11": dict(image_shape=(32, 33, 3), filters=(4, 4, 6, 6, 8), hidden_dims=(24, 16)),
    "vgg13_bn": dict(image_shape=(9, 8, 3), filters=(4, 6), depths=(2, 1), stem="small"),
}
