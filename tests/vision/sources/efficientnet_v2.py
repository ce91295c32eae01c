"""EfficientNetV2 in torchvision, timm and keras.applications."""

from oracle import Case

from kzoo.models.vision.efficientnet_v2 import fused_mbconv, mbconv

ROWS = (
    (fused_mbconv, 1, 24, 2, 1),
    (fused_mbconv, 4, 48, 2, 2),
    (mbconv, 4, 64, 2, 2),
    (mbconv, 6, 80, 1, 1),
    (mbconv, 6, 96, 1, 2),
)


def torchvision():
    from functools import partial

    from torch import nn
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    before = [24] + [row[2] for row in ROWS]
    kinds = {fused_mbconv: FusedMBConvConfig, mbconv: MBConvConfig}
    return EfficientNet(
        [kinds[block](t, 3, s, c, f, n) for c, (block, t, f, n, s) in zip(before, ROWS)],
        0.2,
        num_classes=5,
        last_channel=1280,
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3),
    )


def timm():
    from functools import partial

    from timm.layers import get_act_layer
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.efficientnet import EfficientNet
    from torch import nn

    definition = [
        ["cn_r2_k3_s1_e1_c24_skip"],
        ["er_r2_k3_s2_e4_c48"],
        ["ir_r2_k3_s2_e4_c64_se0.25"],
        ["ir_r1_k3_s1_e6_c80_se0.25"],
        ["ir_r1_k3_s2_e6_c96_se0.25"],
    ]
    return EfficientNet(
        decode_arch_def(definition),
        num_classes=5,
        num_features=1408,
        stem_size=24,
        pad_type="same",
        round_chs_fn=partial(round_channels, multiplier=1.1, round_limit=0.0),
        act_layer=get_act_layer("silu"),
        norm_layer=partial(nn.BatchNorm2d, eps=1e-3),
    )


LAST = (1, 2, 4, 5)  # row of each stage's last block
CASES = [
    Case(
        *("efficientnet_v2_s", "torchvision", torchvision, dict(rows=ROWS)),
        {"stem": "features.0", **{f"stage_{i}": f"features.{n}" for i, n in enumerate(LAST, 1)}},
    ),
    Case(
        *("efficientnet_v2_s", "timm", timm, dict(rows=ROWS, width=1.1)),
        {"stem": "bn1", **{f"stage_{i}": f"blocks.{n - 1}" for i, n in enumerate(LAST, 1)}},
    ),
    Case(
        *("efficientnet_v2_b0", "keras", "EfficientNetV2B0", {}),
        {
            "stem": "stem_activation",
            **{f"stage_{i}": f"block{n}_add" for i, n in enumerate(("2b", "3b", "5e", "6h"), 2)},
        },
        arguments=dict(include_preprocessing=False),
    ),
]
# With 1,000 classes: torchvision 0.28; XL and B0 to B3 timm 1.0.31.
PARAMETERS = {
    "efficientnet_v2_s": 21_458_488,
    "efficientnet_v2_m": 54_139_356,
    "efficientnet_v2_l": 118_515_272,
    "efficientnet_v2_xl": 208_119_808,
    "efficientnet_v2_b0": 7_139_704,
    "efficientnet_v2_b1": 8_141_052,
    "efficientnet_v2_b2": 10_096_086,
    "efficientnet_v2_b3": 14_358_406,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "efficientnet_v2_s": dict(
        image_shape=(8, 8, 3),
        rows=((fused_mbconv, 1, 32, 2, 1), (fused_mbconv, 2, 32, 1, 2), (mbconv, 2, 64, 2, 2)),
        stem_filters=32,
        width=0.25,
        dropout=0.0,
    ),
    "efficientnet_v2_b0": dict(
        image_shape=(8, 8, 1),
        rows=((fused_mbconv, 2, 32, 1, 2), (mbconv, 2, 64, 1, 2)),
        width=0.25,
        stem="small",
        dropout=0.0,
    ),
}
