"""Residual networks v2 in timm and keras.applications."""

from oracle import Case


def timm(**arguments):
    def make():
        from timm.layers import BatchNormAct2d, create_conv2d
        from timm.models.resnetv2 import ResNetV2

        return ResNetV2(
            [1, 2, 1, 1], num_classes=5, conv_layer=create_conv2d, norm_layer=BatchNormAct2d, **arguments
        )

    return make


BASIC = dict(channels=(64, 128, 256, 512), basic=True, bottle_ratio=1.0)
SHALLOW = dict(depths=(1, 2, 1, 1))
STAGES = {"stem": "stem.conv", **{f"stage_{i}": f"stages.{i - 1}" for i in (1, 2, 3, 4)}}
CASES = [
    Case("resnet50_v2", "timm", timm(), SHALLOW, STAGES, sizes=((64, 64), (97, 66))),
    Case("resnet18_v2", "timm", timm(**BASIC), SHALLOW, STAGES),
    Case(
        *("resnet50_v2", "keras", "ResNet50V2", {}),
        {"stem": "conv1_conv"}
        | {f"stage_{i}": f"conv{i + 1}_block{n}_out" for i, n in enumerate((3, 4, 6, 3), 1)},
        sizes=((64, 64), (97, 66)),
    ),
]
# With 1,000 classes: timm 1.0.31.
PARAMETERS = {
    "resnet18_v2": 11_687_720,
    "resnet34_v2": 21_795_880,
    "resnet50_v2": 25_549_352,
    "resnet101_v2": 44_541_480,
    "resnet152_v2": 60_185_128,
}
# He et al. (2016), table 4, with 10 classes, in millions.
# The 10.2 of resnet1001_v2 are 10.18 without normalisation; it has 10.33.
MILLIONS = {"resnet110_v2": 1.7, "resnet164_v2": 1.7}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "resnet50_v2": dict(image_shape=(32, 32, 3), filters=(4, 4), depths=(1, 2)),
    "resnet18_v2": dict(image_shape=(17, 17, 1), filters=(4, 8), depths=(1, 1), padding="same"),
    "resnet164_v2": dict(image_shape=(8, 8, 3), filters=(4, 8), depths=(2, 1), stride_last=True),
}
