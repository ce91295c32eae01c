"""MobileNetV2 elsewhere."""

import functools

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source
from kzoo.weights.rows import BLOCK, places


def _torchvision(model):
    blocks = places(model)

    def name(i, j, part, leaf):
        block = blocks[i, j]
        p = block.parts.index(part)
        if part == "project":  # no module of its own there
            p, leaf = p + (leaf == "norm"), None
        inside = "" if leaf is None else f".{int(leaf == 'norm')}"
        return f"features.{block.index + 1}.conv.{p}{inside}"

    top = len(blocks) + 1
    return (
        ("stem_conv", "features.0.0"),
        ("stem_norm", "features.0.1"),
        (BLOCK, name),
        ("top_conv", f"features.{top}.0"),
        ("top_norm", f"features.{top}.1"),
        ("head", "classifier.1"),
    )


def timm_block(block, part, leaf):
    """The name of a layer in timm's blocks, which depends on what else the block has."""
    if part == "se":
        return "se.conv_reduce" if leaf == "squeeze" else "se.conv_expand"
    convolutions = {"depthwise": "conv_dw", "expand": "conv_pw", "fused": "conv_exp", "project": "conv_pwl"}
    if len(block.parts) == 1:  # a fused convolution alone
        convolutions = {"fused": "conv"}
    elif block.parts[0] == "depthwise":
        convolutions["project"] = "conv_pw"
    norms = [p for p in block.parts if p != "se"]
    return convolutions[part] if leaf == "conv" else f"bn{norms.index(part) + 1}"


def timm_names(model):
    """timm's names of networks of inverted residuals."""
    blocks = places(model)

    def name(i, j, part, leaf):
        block = blocks[i, j]
        return f"blocks.{block.row}.{block.position}.{timm_block(block, part, leaf)}"

    return (
        ("stem_conv", "conv_stem"),
        ("stem_norm", "bn1"),
        (BLOCK, name),
        ("top_conv", "conv_head"),
        ("top_norm", "bn2"),
        ("head", "classifier"),
    )


def _transformers(model):
    blocks = places(model)
    parts = {"expand": "expand_1x1", "depthwise": "conv_3x3", "project": "reduce_1x1"}
    leaves = {"conv": "convolution", "norm": "normalization"}

    def name(i, j, part, leaf):
        index = blocks[i, j].index
        where = f"layer.{index - 1}" if index else "conv_stem"
        return f"mobilenet_v2.{where}.{parts[part]}.{leaves[leaf]}"

    return (
        ("stem_conv", "mobilenet_v2.conv_stem.first_conv.convolution"),
        ("stem_norm", "mobilenet_v2.conv_stem.first_conv.normalization"),
        (BLOCK, name),
        ("top_conv", "mobilenet_v2.conv_1x1.convolution"),
        ("top_norm", "mobilenet_v2.conv_1x1.normalization"),
        ("head", "classifier"),
    )


def _keras(model):
    blocks = places(model)

    def name(i, j, part, leaf):
        index = blocks[i, j].index
        prefix = f"block_{index}" if index else "expanded_conv"
        return f"{prefix}_{part}" + ("_BN" if leaf == "norm" else "")

    return (
        ("stem_conv", "Conv1"),
        ("stem_norm", "bn_Conv1"),
        (BLOCK, name),
        ("top_conv", "Conv_1"),
        ("top_norm", "Conv_1_bn"),
        ("head", "predictions"),
    )


TENSORFLOW = dict(padding="same", norm=functools.partial(NORM, epsilon=1e-3, momentum=0.999))
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {"mobilenet_v2": "mobilenet_v2"},
    "timm": {
        "mobilenet_v2": "mobilenetv2_100",
        **{f"mobilenet_v2_{width}": f"mobilenetv2_{width}" for width in ("050", "140")},
    },
    "keras": {
        "mobilenet_v2": "MobileNetV2",
        **{f"mobilenet_v2_0{width}": f"MobileNetV2(alpha=0.{width})" for width in ("35", "50", "75")},
        "mobilenet_v2_140": "MobileNetV2(alpha=1.4)",
    },
}
SOURCES = {
    "torchvision": Source(_torchvision),
    "timm": Source(timm_names),
    "transformers": Source(_transformers, arguments=TENSORFLOW),
    "keras": Source(_keras, arguments=TENSORFLOW, layout="keras"),
}
