"""Densely connected networks in torchvision, timm and keras.applications."""

from oracle import Case

SHALLOW = dict(depths=(2, 3, 1, 2), growth=8, filters=16)


def torchvision():
    from torchvision.models import DenseNet

    return DenseNet(8, (2, 3, 1, 2), 16, num_classes=5)


def timm():
    from timm.models.densenet import DenseNet

    return DenseNet(8, (2, 3, 1, 2), num_classes=5)


STAGES = {f"stage_{i}": f"features.denseblock{i}" for i in (1, 2, 3, 4)}
CASES = [
    Case("densenet121", "torchvision", torchvision, SHALLOW, {"stem": "features.relu0"} | STAGES),
    Case("densenet121", "timm", timm, SHALLOW, {"stem": "features.norm0"} | STAGES),
    Case(
        *("densenet121", "keras", "DenseNet121", {}),
        {f"stage_{i}": f"conv{i + 1}_block{n}_concat" for i, n in enumerate((6, 12, 24, 16), 1)},
    ),
]
# With 1,000 classes: torchvision 0.28.
PARAMETERS = {
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}
# Huang et al. (2017), table 2, with 10 classes, in millions.
MILLIONS = {
    "densenet40": 1.0,
    "densenet100": 7.0,
    "densenet100_k24": 27.2,
    "densenet_bc100": 0.8,
    "densenet_bc250_k24": 15.3,
    "densenet_bc190_k40": 25.6,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "densenet121": dict(image_shape=(16, 16, 3), depths=(2, 1), growth=4, filters=8),
    "densenet40": dict(image_shape=(9, 9, 1), depths=(2, 1), growth=4, filters=8),
    "densenet_bc100": dict(image_shape=(8, 8, 3), depths=(1, 2), growth=4, filters=8),
}
