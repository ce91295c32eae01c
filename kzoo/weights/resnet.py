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
SOURCES = {
    "torchvision": Source(_torch()),
    "timm": Source(_torch()),
    "transformers": TRANSFORMERS,
    "keras": KERAS,
}
