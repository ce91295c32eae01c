"""EfficientNet in torchvision, timm, Transformers and keras.applications."""

from oracle import Case

ROWS = [[1, 3, 16, 1, 1], [6, 3, 24, 2, 2], [4, 5, 40, 1, 2], [6, 5, 80, 2, 1], [6, 3, 96, 1, 2]]


def torchvision():
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    before = [32] + [row[2] for row in ROWS]
    rows = [MBConvConfig(t, k, s, c, f, n, 0.5, 1.4) for c, (t, k, f, n, s) in zip(before, ROWS)]
    return EfficientNet(rows, 0.2, num_classes=5, last_channel=640)


def timm():
    from functools import partial

    from timm.layers import get_act_layer
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.efficientnet import EfficientNet

    kinds = [("ds" if t == 1 else "ir", t, k, f, n, s) for t, k, f, n, s in ROWS]
    definition = [[f"{kind}_r{n}_k{k}_s{s}_e{t}_c{f}_se0.25"] for kind, t, k, f, n, s in kinds]
    return EfficientNet(
        decode_arch_def(definition),
        num_classes=5,
        num_features=640,
        stem_size=32,
        round_chs_fn=partial(round_channels, multiplier=0.5),
        act_layer=get_act_layer("swish"),
    )


def transformers():
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    expansions, kernels, filters, depths, strides = map(list, zip(*ROWS))
    return EfficientNetForImageClassification(
        EfficientNetConfig(
            width_coefficient=0.5,
            depth_coefficient=1.0,
            kernel_sizes=kernels,
            in_channels=[32, *filters[:-1]],
            out_channels=filters,
            strides=strides,
            num_block_repeats=depths,
            expand_ratios=expansions,
            hidden_dim=640,
            num_labels=5,
        )
    )


SHALLOW = dict(rows=ROWS, width=0.5)
CASES = [
    Case(
        *("efficientnet_b0", "torchvision", torchvision, SHALLOW | dict(depth=1.4)),
        {"stem": "features.0", **{f"stage_{i}": f"features.{n}" for i, n in enumerate((1, 2, 4, 5), 1)}},
    ),
    Case(
        *("efficientnet_b0", "timm", timm, SHALLOW),
        {"stem": "bn1", **{f"stage_{i}": f"blocks.{n}" for i, n in enumerate((0, 1, 3, 4), 1)}},
    ),
    Case(
        *("efficientnet_b0", "transformers", transformers, SHALLOW),
        {f"stage_{i}": f"efficientnet.encoder.blocks.{n}" for i, n in enumerate((0, 2, 5, 6), 1)},
    ),
    Case(
        *("efficientnet_b0", "keras", "EfficientNetB0", {}),
        {
            "stem": "stem_activation",
            **{f"stage_{i}": f"block{n}" for i, n in enumerate(("2b_add", "3b_add", "5c_add"), 2)},
        },
        start="stem_conv_pad",
    ),
]
# With 1,000 classes: torchvision 0.28.
PARAMETERS = {
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "efficientnet_b0": dict(
        image_shape=(9, 9, 3),
        rows=((1, 3, 32, 1, 1), (2, 3, 32, 2, 2), (2, 5, 64, 1, 2)),
        width=0.25,
        dropout=0.0,
    ),
    "efficientnet_b1": dict(
        image_shape=(8, 8, 1),
        rows=((2, 3, 32, 1, 2), (2, 5, 64, 1, 2)),
        width=0.25,
        stem="small",
        dropout=0.0,
    ),
}
