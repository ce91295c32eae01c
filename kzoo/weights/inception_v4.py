"""Inception v4 elsewhere."""

from kzoo.weights.convert import Source


def _timm(model):
    """timm has one list of modules: the stem's first three convolutions, two modules, then the stages."""
    blocks = {layer.name.split("_branch")[0] for layer in model.layers if "_branch" in layer.name}
    first, number = {}, 5  # where each stage begins
    for i in (1, 2, 3):
        first[i] = number
        number += sum(block.startswith(f"stage_{i}") for block in blocks)

    def branch(i, j, b, k):
        module = f"features.{first[i] + j - 1}"
        if (i, j) == (1, 1):
            return f"{module}.conv"
        if b == 1 and (i, j) != (3, 1):
            return f"{module}.branch0"  # a single step
        return f"{module}.branch{b - 1}{'_' if i == 3 and 1 < b < 4 and j > 1 else '.'}{k - 1}"

    def units(ours, part):
        return (
            (rf"stem_block_1_{ours}_(\d)", lambda k: f"features.{k - 1}.{part}"),
            (rf"stem_block_2_branch_2_{ours}_1", f"features.3.conv.{part}"),
            (
                rf"stem_block_3_branch_(\d)_{ours}_(\d)",
                lambda b, k: f"features.4.branch{b - 1}.{k - 1}.{part}",
            ),
            (
                rf"stage_(\d)_block_(\d+)_branch_(\d)_{ours}_(\d)",
                lambda i, j, b, k: f"{branch(i, j, b, k)}.{part}",
            ),
            (
                rf"stage_(\d)_block_(\d+)_branch_(\d)_fork_(\d)_{ours}_(\d)",
                lambda i, j, b, n, k: f"{branch(i, j, b, k)}{'ab'[n - 1]}.{part}",
            ),
        )

    return (*units("conv", "conv"), *units("norm", "bn"), ("head", "last_linear"))


# What each of our networks is called there, where published weights are listed.
NAMES = {"timm": {"inception_v4": "inception_v4"}}
SOURCES = {"timm": Source(_timm)}
