"""Inception-ResNet v2 elsewhere."""

import functools

from kzoo.models.vision.branches import NORM, names
from kzoo.models.vision.inception_resnet import SIZES, V2
from kzoo.weights.convert import Source
from kzoo.weights.numbered import numbered

STEM = (None, "1a", "2a", "2b", None, "3b", "4a")
MIXED = {1: "mixed_5b", 2: "mixed_6a", 3: "mixed_7a"}
REPEATED = {1: "repeat", 2: "repeat_1", 3: "repeat_2"}
SINGLE = ((1, 1), (2, 1))  # the branches of `MIXED` with one step: not numbered there


def _timm(model):
    layers = [layer.name for layer in model.layers]
    last = sum(f"stage_3_block_{j}_scale" in layers for j in range(1, len(layers)))

    def block(i, j):
        return "block8" if i == 3 and j == last else f"{REPEATED[i]}.{j - 1}"

    def units(ours, part):
        def mixed(i, _, b, k):
            return f"{MIXED[i]}.branch{b - 1}{'' if (i, b) in SINGLE else f'.{k - 1}'}.{part}"

        def repeated(i, j, b, k):
            return f"{block(i, j)}.branch{b - 1}{'' if b == 1 else f'.{k - 1}'}.{part}"

        return (
            (rf"stem_block_1_{ours}_(\d)", lambda k: f"conv2d_{STEM[k]}.{part}"),
            (rf"stage_(\d)_start_block_(\d)_branch_(\d)_{ours}_(\d)", mixed),
            (rf"stage_(\d)_block_(\d+)_branch_(\d)_{ours}_(\d)", repeated),
            (rf"stage_3_end_{ours}_1", f"conv2d_7b.{part}"),
        )

    return (
        *units("conv", "conv"),
        *units("norm", "bn"),
        (r"stage_(\d)_block_(\d+)_conv", lambda i, j: f"{block(i, j)}.conv2d"),
        ("head", "classif"),
    )


def _order():
    """Our layers in the order of keras.applications."""
    yield from names(V2["stem"], "stem")
    depths = SIZES["inception_resnet_v2"]["depths"]
    for i, (start, branches, depth) in enumerate(zip(V2["starts"], V2["residual"], depths), 1):
        yield from names(start, f"stage_{i}_start")
        yield from names((branches,) * depth, f"stage_{i}")


KERAS = Source(
    (
        ("stage_3_end_conv_1", "conv_7b"),
        ("stage_3_end_norm_1", "conv_7b_bn"),
        *numbered(_order()),
        (r"stage_1_block_(\d+)_conv", r"block35_\1_conv"),
        (r"stage_2_block_(\d+)_conv", r"block17_\1_conv"),
        (r"stage_3_block_(\d+)_conv", r"block8_\1_conv"),
        ("head", "predictions"),
    ),
    arguments=dict(norm=functools.partial(NORM, scale=False)),
    layout="keras",
)
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "timm": {"inception_resnet_v2": "inception_resnet_v2"},
    "keras": {"inception_resnet_v2": "InceptionResNetV2"},
}
SOURCES = {"timm": Source(_timm), "keras": KERAS}
