"""Residual networks v2 elsewhere."""

import functools

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source

TIMM = (
    ("stem", "stem.conv"),
    (
        r"stage_(\d+)_block_(\d+)_(conv|norm)_(\d+)",
        lambda i, j, kind, k: f"stages.{i - 1}.blocks.{j - 1}.{kind}{k}",
    ),
    (r"stage_(\d+)_block_(\d+)_shortcut_conv", lambda i, j: f"stages.{i - 1}.blocks.{j - 1}.downsample.conv"),
    ("top_norm", "norm"),
    ("head", "head.fc"),
)
KERAS = (
    ("stem", "conv1_conv"),
    (r"stage_(\d+)_block_(\d+)_norm_1", lambda i, j: f"conv{i + 1}_block{j}_preact_bn"),
    (r"stage_(\d+)_block_(\d+)_norm_(\d+)", lambda i, j, k: f"conv{i + 1}_block{j}_{k - 1}_bn"),
    (r"stage_(\d+)_block_(\d+)_conv_(\d+)", lambda i, j, k: f"conv{i + 1}_block{j}_{k}_conv"),
    (r"stage_(\d+)_block_(\d+)_shortcut_conv", lambda i, j: f"conv{i + 1}_block{j}_0_conv"),
    ("top_norm", "post_bn"),
    ("head", "predictions"),
)
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "timm": {f"resnet{depth}_v2": f"resnetv2_{depth}" for depth in (18, 34, 50, 101)},
    "keras": {f"resnet{depth}_v2": f"ResNet{depth}V2" for depth in (50, 101, 152)},
}
SOURCES = {
    "timm": Source(TIMM),
    "keras": Source(
        KERAS,
        arguments=dict(
            stride_last=True, pool_zeros=True, use_bias=True, norm=functools.partial(NORM, epsilon=1.001e-5)
        ),
        layout="keras",
    ),
}
