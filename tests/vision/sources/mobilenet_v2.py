"""MobileNetV2 in torchvision, timm, Transformers and keras.applications."""

from oracle import Case

ROWS = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2], [6, 96, 2, 1], [6, 160, 1, 2], [6, 320, 1, 1]]
SHALLOW = dict(rows=ROWS, width=0.35)


def torchvision():
    from torchvision.models import MobileNetV2

    return MobileNetV2(5, 0.35, ROWS)


def timm():
    from functools import partial

    from timm.layers import get_act_layer
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.efficientnet import EfficientNet

    kinds = [("ds" if t == 1 else "ir", t, c, n, s) for t, c, n, s in ROWS]
    return EfficientNet(
        decode_arch_def([[f"{kind}_r{n}_k3_s{s}_e{t}_c{c}"] for kind, t, c, n, s in kinds]),
        num_classes=5,
        round_chs_fn=partial(round_channels, multiplier=0.35),
        act_layer=get_act_layer("relu6"),
        stem_size=32,
    )


def transformers():
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    return MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.35, num_labels=5))


CASES = [
    Case(
        *("mobilenet_v2", "torchvision", torchvision, SHALLOW),
        {f"stage_{i}": f"features.{n}" for i, n in enumerate((1, 3, 6, 8), 1)} | {"stem": "features.0"},
    ),
    Case(
        *("mobilenet_v2", "timm", timm, SHALLOW),
        {f"stage_{i}": f"blocks.{n}" for i, n in enumerate((0, 1, 3, 5), 1)} | {"stem": "bn1"},
    ),
    Case(
        *("mobilenet_v2_035", "transformers", transformers, {}),
        {f"stage_{i}": f"mobilenet_v2.layer.{n}" for i, n in enumerate((1, 4, 11, 15), 2)},
    ),
    *[
        Case(
            *(model, "keras", theirs, {}),
            {
                f"stage_{i}": f"block_{n}"
                for i, n in enumerate(("2_add", "5_add", "12_add", "16_project_BN"), 2)
            },
        )
        for model, theirs in (
            ("mobilenet_v2", "MobileNetV2"),
            ("mobilenet_v2_035", "MobileNetV2(alpha=0.35)"),
            ("mobilenet_v2_140", "MobileNetV2(alpha=1.4)"),
        )
    ],
]
# With 1,000 classes: torchvision 0.28; other widths timm 1.0.31.
PARAMETERS = {
    "mobilenet_v2": 3_504_872,
    "mobilenet_v2_035": 1_677_128,
    "mobilenet_v2_050": 1_968_680,
    "mobilenet_v2_075": 2_636_424,
    "mobilenet_v2_140": 6_108_776,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "mobilenet_v2": dict(
        image_shape=(16, 16, 3), rows=((1, 8, 1, 1), (3, 8, 2, 2), (2, 16, 1, 2)), width=0.5, dropout=0.0
    ),
    "mobilenet_v2_140": dict(
        image_shape=(8, 8, 1), rows=((1, 8, 1, 1), (2, 8, 2, 2), (2, 16, 1, 2)), stem="small", dropout=0.0
    ),
}
