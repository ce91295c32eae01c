"""Inception v3 elsewhere."""

import functools

from kzoo.models.vision.branches import NORM, names
from kzoo.models.vision.inception_v3 import STAGES, STEMS
from kzoo.weights.convert import Source
from kzoo.weights.numbered import numbered

STEM = ("1a_3x3", "2a_3x3", "2b_3x3", None, "3b_1x1", "4a_3x3")
# What torchvision and timm call the branches of each kind of module; a number follows where there are several steps.
A = ("branch1x1", "branch5x5_", "branch3x3dbl_", "branch_pool")
B = ("branch3x3", "branch3x3dbl_")
C = ("branch1x1", "branch7x7_", "branch7x7dbl_", "branch_pool")
D = ("branch3x3_", "branch7x7x3_")
E = ("branch1x1", "branch3x3_", "branch3x3dbl_", "branch_pool")
MODULES = {(1, j): A for j in (2, 3, 4)} | {(2, 1): B} | {(2, j): C for j in (2, 3, 4, 5)}
MODULES |= {(3, 1): D, (3, 2): E, (3, 3): E}


def _torch(part):
    def stem(k):
        return f"Conv2d_{STEM[k - 1]}.{part}"

    def branch(i, j, b, k):
        name = MODULES[i, j][b - 1]
        return f"Mixed_{i + 4}{'abcde'[j - 1]}.{name}{k if name.endswith('_') else ''}.{part}"

    def fork(i, j, b, n, k):
        return f"Mixed_{i + 4}{'abcde'[j - 1]}.{MODULES[i, j][b - 1]}{k}{'ab'[n - 1]}.{part}"

    ours = {"conv": "conv", "bn": "norm"}[part]
    return (
        (rf"stem_block_1_{ours}_(\d)", stem),
        (rf"stage_(\d)_block_(\d)_branch_(\d)_{ours}_(\d)", branch),
        (rf"stage_(\d)_block_(\d)_branch_(\d)_fork_(\d)_{ours}_(\d)", fork),
        (rf"aux_{ours}_(\d)", lambda k: f"AuxLogits.conv{k - 1}.{part}"),
    )


TORCH = Source(
    (*_torch("conv"), *_torch("bn"), ("head_aux", "AuxLogits.fc"), ("head", "fc")),
    ignored=r".*num_batches_tracked|AuxLogits\..*",
)
ORDER = [
    *names(STEMS["large"], "stem"),
    *(name for i, modules in enumerate(STAGES, 1) for name in names(modules, f"stage_{i}")),
]
KERAS = Source(
    (*numbered(ORDER), ("head", "predictions")),
    arguments=dict(norm=functools.partial(NORM, scale=False), averaged="same"),
    layout="keras",
)
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {"inception_v3": "inception_v3"},
    "timm": {"inception_v3": "inception_v3"},
    "keras": {"inception_v3": "InceptionV3"},
}
# torchvision"s own network turns pixels around means of its data sets into these first; ours takes these.
TRANSFORMED = {"torchvision": {"inception_v3": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))}}
SOURCES = {"torchvision": TORCH, "timm": TORCH, "keras": KERAS}
