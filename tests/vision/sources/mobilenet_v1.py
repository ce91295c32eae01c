"""MobileNet in timm, Transformers and keras.applications."""

from oracle import Case

ROWS = [[64, 1, 1], [128, 2, 2], [256, 1, 2], [512, 2, 2]]
SHALLOW = dict(rows=ROWS, width=0.25)


def timm():
    from functools import partial

    from timm.layers import get_act_layer
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.efficientnet import EfficientNet

    return EfficientNet(
        decode_arch_def([[f"dsa_r{n}_k3_s{s}_c{c}"] for c, n, s in ROWS]),
        num_classes=5,
        num_features=0,
        round_chs_fn=partial(round_channels, multiplier=0.25),
        act_layer=get_act_layer("relu6"),
        stem_size=32,
    )


def transformers():
    from transformers import MobileNetV1Config, MobileNetV1ForImageClassification

    return MobileNetV1ForImageClassification(MobileNetV1Config(depth_multiplier=0.25, num_labels=5))


LAST = (1, 3, 5, 11, 13)  # of each stage
CASES = [
    Case(
        *("mobilenet_v1", "timm", timm, SHALLOW),
        {f"stage_{i}": f"blocks.{i - 1}" for i in (1, 2, 3, 4)} | {"stem": "bn1"},
    ),
    Case(
        *("mobilenet_v1_025", "transformers", transformers, {}),
        {f"stage_{i}": f"mobilenet_v1.layer.{2 * n - 1}" for i, n in enumerate(LAST, 1)},
    ),
    Case(
        *("mobilenet_v1", "keras", "MobileNet", {}),
        {f"stage_{i}": f"conv_pw_{n}_relu" for i, n in enumerate(LAST, 1)} | {"stem": "conv1_relu"},
    ),
    Case(
        *("mobilenet_v1_075", "keras", "MobileNet(alpha=0.75)", {}),
        {f"stage_{i}": f"conv_pw_{n}_relu" for i, n in enumerate(LAST, 1)} | {"stem": "conv1_relu"},
    ),
]
# With 1,000 classes: timm 1.0.31; other widths keras.applications of Keras 3.
PARAMETERS = {
    "mobilenet_v1": 4_231_976,
    "mobilenet_v1_025": 470_072,
    "mobilenet_v1_050": 1_331_592,
    "mobilenet_v1_075": 2_585_560,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "mobilenet_v1": dict(
        image_shape=(16, 16, 3), rows=((32, 1, 1), (32, 1, 2), (64, 2, 2)), width=0.25, dropout=0.0
    ),
    "mobilenet_v1_025": dict(
        image_shape=(9, 9, 1),
        rows=((32, 1, 1), (32, 1, 2), (64, 1, 2)),
        stem="small",
        padding="same",
        dropout=0.0,
    ),
}
