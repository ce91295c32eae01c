"""Residual networks in torchvision, timm, Transformers and keras.applications."""

from oracle import Case

STAGES = {f"stage_{i}": f"layer{i}" for i in range(1, 5)}
SHALLOW = dict(depths=(1, 2, 1, 1))


def torchvision(block, depths=(1, 2, 1, 1), **arguments):
    def make():
        from torchvision.models import resnet

        return resnet.ResNet(getattr(resnet, block), depths, num_classes=5, **arguments)

    return make


def timm_se():
    from timm.models import resnet

    return resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1], num_classes=5, block_args=dict(attn_layer="se"))


def transformers():
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(
        ResNetConfig(depths=[1, 2, 1, 1], num_labels=5, downsample_in_bottleneck=False)
    )


CASES = [
    Case("resnet18", "torchvision", torchvision("BasicBlock"), SHALLOW, STAGES),
    Case("resnet50", "torchvision", torchvision("Bottleneck"), SHALLOW, STAGES),
    Case(
        "resnext50_32x4d",
        "torchvision",
        torchvision("Bottleneck", groups=32, width_per_group=4),
        SHALLOW,
        STAGES,
    ),
    Case("wide_resnet50_2", "torchvision", torchvision("Bottleneck", width_per_group=128), SHALLOW, STAGES),
    Case("se_resnet50", "timm", timm_se, SHALLOW, STAGES),
    Case(
        *("resnet50", "transformers", transformers, SHALLOW),
        {f"stage_{i}": f"resnet.encoder.stages.{i - 1}" for i in range(1, 5)},
    ),
    Case(
        *("resnet50", "keras", "ResNet50", {}),
        {f"stage_{i + 1}": f"conv{i + 2}_block{n}_out" for i, n in enumerate((3, 4, 6, 3))},
    ),
]

# With 1,000 classes: torchvision 0.28 and timm 1.0.31, and He et al. (2016), table 6, in millions for 32 x 32 images.
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x4d": 44_177_704,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "resnet18": dict(image_shape=(32, 32, 3), filters=(8, 8, 16, 16), depths=(1, 1, 1, 1), padding="same"),
    "resnet20": dict(image_shape=(8, 8, 3), filters=(8, 12, 16), depths=(1, 2, 1)),
    "resnext50_32x4d": dict(
        image_shape=(32, 32, 3), filters=(16, 16), depths=(1, 1), groups=4, group_width=16, stem="small"
    ),
    "se_resnet50": dict(image_shape=(32, 32, 3), filters=(8, 16), depths=(1, 1), stem="small"),
}
