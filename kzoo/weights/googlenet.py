"""GoogLeNet elsewhere."""

from kzoo.models.vision.branches import NORM
from kzoo.weights.convert import Source
from kzoo.weights.flattened import flattened

STEM = {1: "conv1", 3: "conv2", 4: "conv3"}


def _module(i, j):
    return f"inception{i + 2}{'-abcde'[j - 1]}"  # a stage begins with a pooling


def _units(ours, part):
    return (
        (rf"stem_block_1_{ours}_(\d)", lambda k: f"{STEM[k]}.{part}"),
        (
            rf"stage_(\d)_block_(\d)_branch_1_{ours}_1",
            lambda i, j: f"{_module(i, j)}.branch1.{part}",
        ),
        (
            rf"stage_(\d)_block_(\d)_branch_(\d)_{ours}_(\d)",
            lambda i, j, b, k: f"{_module(i, j)}.branch{b}.{k - 1}.{part}",
        ),
        (rf"aux_(\d)_{ours}_1", rf"aux\1.conv.{part}"),
    )


# What each of our networks is called there, where published weights are listed.
NAMES = {"torchvision": {"googlenet_bn": "googlenet"}}
# torchvision"s own network turns pixels around means of its data sets into these first; ours takes these.
TRANSFORMED = {"torchvision": {"googlenet_bn": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))}}
SOURCES = {
    "torchvision": Source(
        (
            *_units("conv", "conv"),
            *_units("norm", "bn"),
            (r"aux_(\d)_hidden", r"aux\1.fc1"),
            (r"head_aux_(\d)", r"aux\1.fc2"),
            ("head", "fc"),
        ),
        tensors=((r"aux_(\d)_hidden/kernel", r"aux\1.fc1.weight", flattened(4, 4)),),
        arguments=dict(modules="googlenet_bn", norm=NORM),
        ignored=r".*num_batches_tracked|aux\d\..*",
    )
}
