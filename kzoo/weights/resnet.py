"""Residual networks elsewhere."""

import functools

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source


def _torch(shortcut="downsample", attention="se", hidden=("fc1", "fc2")):
    return (
        ("stem_conv", "conv1"),
        ("stem_norm", "bn1"),
        (r"stage_(\d+)_block_(\d+)_conv_(\d+)", lambda i, j, k: f"layer{i}.{j - 1}.conv{k}"),
        (r"stage_(\d+)_block_(\d+)_norm_(\d+)", lambda i, j, k: f"layer{i}.{j - 1}.bn{k}"),
        (r"stage_(\d+)_block_(\d+)_shortcut_conv", lambda i, j: f"layer{i}.{j - 1}.{shortcut}.0"),
        (r"stage_(\d+)_block_(\d+)_shortcut_norm", lambda i, j: f"layer{i}.{j - 1}.{shortcut}.1"),
        (
            r"stage_(\d+)_block_(\d+)_attention/squeeze",
            lambda i, j: f"layer{i}.{j - 1}.{attention}.{hidden[0]}",
        ),
        (
            r"stage_(\d+)_block_(\d+)_attention/excite",
            lambda i, j: f"layer{i}.{j - 1}.{attention}.{hidden[1]}",
        ),
        ("head", "fc"),
    )


def _keras(i, j, part):
    return f"conv{i + 1}_block{j}_{part}"


# keras.applications strides in the first convolution, pads as PyTorch does, and keeps biases before its norms.
KERAS = Source(
    modules=(
        ("stem_conv", "conv1_conv"),
        ("stem_norm", "conv1_bn"),
        (r"stage_(\d+)_block_(\d+)_conv_(\d+)", lambda i, j, k: _keras(i, j, f"{k}_conv")),
        (r"stage_(\d+)_block_(\d+)_norm_(\d+)", lambda i, j, k: _keras(i, j, f"{k}_bn")),
        (r"stage_(\d+)_block_(\d+)_shortcut_conv", lambda i, j: _keras(i, j, "0_conv")),
        (r"stage_(\d+)_block_(\d+)_shortcut_norm", lambda i, j: _keras(i, j, "0_bn")),
        ("head", "predictions"),
    ),
    arguments=dict(stride_first=True, use_bias=True, norm=functools.partial(NORM, epsilon=1.001e-5)),
    layout="keras",
)


def _transformers(i, j, part):
    return f"resnet.encoder.stages.{i - 1}.layers.{j - 1}.{part}"


TRANSFORMERS = Source(
    modules=(
        ("stem_conv", "resnet.embedder.embedder.convolution"),
        ("stem_norm", "resnet.embedder.embedder.normalization"),
        (
            r"stage_(\d+)_block_(\d+)_conv_(\d+)",
            lambda i, j, k: _transformers(i, j, f"layer.{k - 1}.convolution"),
        ),
        (
            r"stage_(\d+)_block_(\d+)_norm_(\d+)",
            lambda i, j, k: _transformers(i, j, f"layer.{k - 1}.normalization"),
        ),
        (r"stage_(\d+)_block_(\d+)_shortcut_conv", lambda i, j: _transformers(i, j, "shortcut.convolution")),
        (
            r"stage_(\d+)_block_(\d+)_shortcut_norm",
            lambda i, j: _transformers(i, j, "shortcut.normalization"),
        ),
        ("head", "classifier.1"),
    ),
)
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {
        name: name
        for name in (
            *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
            *(
                "resnext50_32x4d",
                "resnext101_32x8d",
                "resnext101_64x4d",
                "wide_resnet50_2",
                "wide_resnet101_2",
            ),
        )
    },
    "timm": {
        **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
        **{
            name: name
            for name in ("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d")
        },
        **{name: name for name in ("wide_resnet50_2", "wide_resnet101_2")},
        "se_resnet50": "seresnet50",
    },
    "keras": {f"resnet{depth}": f"ResNet{depth}" for depth in (50, 101, 152)},
}
SOURCES = {
    "torchvision": Source(_torch()),
    "timm": Source(_torch()),
    "transformers": TRANSFORMERS,
    "keras": KERAS,
}
