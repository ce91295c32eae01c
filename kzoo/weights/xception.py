"""Xception elsewhere."""

from kzoo.models.vision import parts
from kzoo.weights.convert import Source

FIRST = {1: 1, 2: 2, 3: 3, 4: 12}  # number of each stage's first block in timm


def _timm(i, j, part):
    return f"block{FIRST[i] + j - 1}.{part}"


def _step(i, k):
    """Where a separable convolution stands in timm's list: each is behind a ReLU, except the very first."""
    return 3 * k - (3 if i == 1 else 2)


TIMM = Source(
    (
        (r"stem_conv_(\d)", r"conv\1"),
        (r"stem_norm_(\d)", r"bn\1"),
        (r"stage_(\d)_block_(\d)_depthwise_(\d)", lambda i, j, k: _timm(i, j, f"rep.{_step(i, k)}.conv1")),
        (
            r"stage_(\d)_block_(\d)_pointwise_(\d)",
            lambda i, j, k: _timm(i, j, f"rep.{_step(i, k)}.pointwise"),
        ),
        (r"stage_(\d)_block_(\d)_norm_(\d)", lambda i, j, k: _timm(i, j, f"rep.{_step(i, k) + 1}")),
        (r"stage_(\d)_block_(\d)_shortcut_conv", lambda i, j: _timm(i, j, "skip")),
        (r"stage_(\d)_block_(\d)_shortcut_norm", lambda i, j: _timm(i, j, "skipbn")),
        (r"stage_4_end_depthwise_(\d)", lambda k: f"conv{k + 2}.conv1"),
        (r"stage_4_end_pointwise_(\d)", lambda k: f"conv{k + 2}.pointwise"),
        (r"stage_4_end_norm_(\d)", lambda k: f"bn{k + 2}"),
        ("head", "fc"),
    ),
    arguments=dict(norm=parts.NORM, padding="symmetric"),
)


def _same(array, variable):
    return array


def _keras(i, j):
    return f"block{FIRST[i] + j}"


KERAS = Source(
    modules=(
        (r"stem_conv_(\d)", r"block1_conv\1"),
        (r"stem_norm_(\d)", r"block1_conv\1_bn"),
        (r"stage_(\d)_block_(\d)_norm_(\d)", lambda i, j, k: f"{_keras(i, j)}_sepconv{k}_bn"),
        (r"stage_(\d)_block_1_shortcut_conv", lambda i: f"conv2d_{i - 1}"),
        (r"stage_(\d)_block_1_shortcut_norm", lambda i: f"batch_normalization_{i - 1}"),
        (r"stage_4_end_norm_(\d)", r"block14_sepconv\1_bn"),
        ("head", "predictions"),
    ),
    tensors=(
        *(
            (
                rf"stage_(\d)_block_(\d)_{kind}_(\d)/kernel",
                lambda i, j, k, kind=kind: f"{_keras(i, j)}_sepconv{k}/{kind}_kernel",
                _same,
            )
            for kind in ("depthwise", "pointwise")
        ),
        (r"stage_4_end_(depthwise|pointwise)_(\d)/kernel", r"block14_sepconv\2/\1_kernel", _same),
    ),
    layout="keras",
)
# What each of our networks is called there, where published weights are listed.
NAMES = {"timm": {"xception": "legacy_xception"}, "keras": {"xception": "Xception"}}
SOURCES = {"timm": TIMM, "keras": KERAS}
