"""Densely connected networks elsewhere."""

import functools

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source


def _torch(model):
    stages = 1 + sum(layer.name.endswith("_transition_norm") for layer in model.layers)
    dense = r"stage_(\d+)_block_(\d+)_"
    return (
        ("stem_conv", "features.conv0"),
        ("stem_norm", "features.norm0"),
        (f"{dense}norm_(\\d+)", r"features.denseblock\1.denselayer\2.norm\3"),
        (f"{dense}conv_(\\d+)", r"features.denseblock\1.denselayer\2.conv\3"),
        (r"stage_(\d+)_transition_(norm|conv)", r"features.transition\1.\2"),
        ("top_norm", f"features.norm{stages + 1}"),
        ("head", "classifier"),
    )


# The normalisation of a layer's input is number 0 there, that of its bottleneck 1.
KERAS = Source(
    modules=(
        ("stem_conv", "conv1_conv"),
        ("stem_norm", "conv1_bn"),
        (r"stage_(\d+)_block_(\d+)_conv_(\d+)", lambda i, j, k: f"conv{i + 1}_block{j}_{k}_conv"),
        (r"stage_(\d+)_block_(\d+)_norm_(\d+)", lambda i, j, k: f"conv{i + 1}_block{j}_{k - 1}_bn"),
        (r"stage_(\d+)_transition_conv", lambda i: f"pool{i + 1}_conv"),
        (r"stage_(\d+)_transition_norm", lambda i: f"pool{i + 1}_bn"),
        ("top_norm", "bn"),
        ("head", "predictions"),
    ),
    arguments=dict(norm=functools.partial(NORM, epsilon=1.001e-5)),
    layout="keras",
)
# Names of modules had dots when the published weights were made.
TORCH = Source(_torch, renamed=((r"\.(norm|conv)\.(\d)\.", r".\1\2."),))
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {f"densenet{depth}": f"densenet{depth}" for depth in (121, 161, 169, 201)},
    "timm": {f"densenet{depth}": f"densenet{depth}" for depth in (121, 161, 169, 201)},
    "keras": {f"densenet{depth}": f"DenseNet{depth}" for depth in (121, 169, 201)},
}
SOURCES = {"torchvision": TORCH, "timm": TORCH, "keras": KERAS}
