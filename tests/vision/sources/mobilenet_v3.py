"""MobileNetV3 in torchvision, timm and keras.applications."""

from oracle import Case

ROWS = (  # a few of either table
    (3, 16, 16, True, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (5, 72, 24, True, "relu", 1),
    (5, 96, 40, True, "hard_silu", 2),
    (3, 240, 40, False, "hard_silu", 1),
    (3, 120, 48, True, "hard_silu", 1),
)


def torchvision():
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    before = (16, *(row[2] for row in ROWS))
    return MobileNetV3(
        [
            InvertedResidualConfig(c, k, e, f, se, "HS" if activation == "hard_silu" else "RE", s, 1, 1.0)
            for c, (k, e, f, se, activation, s) in zip(before, ROWS)
        ],
        last_channel=64,
        num_classes=5,
    )


def timm():
    from functools import partial

    from timm.layers import get_act_layer
    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.mobilenetv3 import MobileNetV3
    from torch import nn

    definition = [
        ["ds_r1_k3_s1_e1_c16_se0.25_nre"],
        ["ir_r1_k3_s2_e4_c24_nre", "ir_r1_k5_s1_e3_c24_se0.25_nre"],
        ["ir_r1_k5_s2_e4_c40_se0.25", "ir_r1_k3_s1_e6_c40"],
        ["ir_r1_k3_s1_e3_c48_se0.25"],
        ["cn_r1_k1_s1_c288"],
    ]
    return MobileNetV3(
        decode_arch_def(definition),
        num_classes=5,
        num_features=64,
        stem_size=16,
        round_chs_fn=round_channels,
        act_layer=get_act_layer("hard_swish"),
        se_layer=partial(
            SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels
        ),
    )


SHALLOW = dict(rows=ROWS, hidden=64)
CASES = [
    Case(
        *("mobilenet_v3_large", "torchvision", torchvision, SHALLOW),
        {"stem": "features.0", "stage_1": "features.1", "stage_2": "features.3", "stage_3": "features.6"},
    ),
    Case(
        *("mobilenet_v3_large", "timm", timm, SHALLOW),
        {"stem": "bn1", "stage_1": "blocks.0", "stage_2": "blocks.1", "stage_3": "blocks.3"},
    ),
    *[
        Case(
            *(model, "keras", theirs, {}),
            {f"stage_{i}": f"expanded_conv_{n}add" for i, n in enumerate(("2_", "7_", "10_"), 2)},
            arguments=dict(include_preprocessing=False),
        )
        for model, theirs in (
            ("mobilenet_v3_small", "MobileNetV3Small"),
            ("mobilenet_v3_small_075", "MobileNetV3Small(alpha=0.75)"),
        )
    ],
]
# With 1,000 classes: torchvision 0.28; other widths keras.applications of Keras 3, and up to 1 timm 1.0.31.
PARAMETERS = {
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_large_035": 2_132_216,
    "mobilenet_v3_large_050": 2_689_904,
    "mobilenet_v3_large_075": 3_993_528,
    "mobilenet_v3_large_125": 8_255_784,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_small_035": 1_350_344,
    "mobilenet_v3_small_050": 1_593_224,
    "mobilenet_v3_small_075": 2_041_872,
    "mobilenet_v3_small_125": 3_645_312,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "mobilenet_v3_large": dict(image_shape=(8, 8, 3), rows=ROWS[:4], hidden=16, dropout=0.0),
    "mobilenet_v3_small": dict(image_shape=(8, 8, 1), rows=ROWS[2:], hidden=16, stem="small", dropout=0.0),
}
