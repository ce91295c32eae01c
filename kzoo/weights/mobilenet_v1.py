"""MobileNet elsewhere."""

import functools

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source
from kzoo.weights.rows import BLOCK, places

TIMM = (
    ("stem_conv", "conv_stem"),
    ("stem_norm", "bn1"),
    (r"stage_(\d+)_block_(\d+)_depthwise_conv", lambda i, j: f"blocks.{i - 1}.{j - 1}.conv_dw"),
    (r"stage_(\d+)_block_(\d+)_depthwise_norm", lambda i, j: f"blocks.{i - 1}.{j - 1}.bn1"),
    (r"stage_(\d+)_block_(\d+)_project_conv", lambda i, j: f"blocks.{i - 1}.{j - 1}.conv_pw"),
    (r"stage_(\d+)_block_(\d+)_project_norm", lambda i, j: f"blocks.{i - 1}.{j - 1}.bn2"),
    ("head", "classifier"),
)


def _transformers(model):
    blocks = places(model)
    leaves = {"conv": "convolution", "norm": "normalization"}

    def name(i, j, part, leaf):
        index = 2 * blocks[i, j].index + (part == "project")
        return f"mobilenet_v1.layer.{index}.{leaves[leaf]}"

    return (
        ("stem_conv", "mobilenet_v1.conv_stem.convolution"),
        ("stem_norm", "mobilenet_v1.conv_stem.normalization"),
        (BLOCK, name),
        ("head", "classifier"),
    )


def _keras(model):
    blocks = places(model)

    def name(i, j, part, leaf):
        kind = {"depthwise": "conv_dw", "project": "conv_pw"}[part]
        return f"{kind}_{blocks[i, j].index + 1}" + ("_bn" if leaf == "norm" else "")

    return (("stem_conv", "conv1"), ("stem_norm", "conv1_bn"), (BLOCK, name), ("head", "conv_preds"))


TENSORFLOW = dict(padding="same", norm=functools.partial(NORM, epsilon=1e-3, momentum=0.99))
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "timm": {"mobilenet_v1": "mobilenetv1_100"},
    "keras": {
        "mobilenet_v1": "MobileNet",
        **{f"mobilenet_v1_0{width}": f"MobileNet(alpha=0.{width})" for width in ("25", "50", "75")},
    },
}
SOURCES = {
    "timm": Source(TIMM),
    "transformers": Source(_transformers, arguments=TENSORFLOW),
    "keras": Source(_keras, arguments=TENSORFLOW, layout="keras"),
}
