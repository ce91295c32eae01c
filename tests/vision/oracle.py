"""Other libraries' networks with random weights: their checkpoint, their logits and features, for kzoo to equal.

`python tests/vision/oracle.py FOLDER [--sources | FAMILY ...]` writes, for each case of `sources/*.py` that is not from
`keras.applications`, a checkpoint in the library's own format and the arrays of two image sizes. It runs in a process
of its own: torchvision has no operators here and is not to be found by others.
"""

import importlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ORACLES = Path(sys.prefix, "oracles")  # where `make env` puts torchvision and timm


@dataclass(frozen=True)
class Case:
    """One network elsewhere and the one here that must give the same.

    Attributes:
        model: our name of it.
        source: `"torchvision"`, `"timm"`, `"transformers"` or `"keras"`.
        theirs: makes their network: a function that imports what it needs. For `"keras"`: the name in
            `keras.applications`, as `Published.builder` has it, and `arguments` are its.
        ours: further arguments of our network, say fewer blocks.
        features: our stage names and their modules' (or layers') names.
        classes: number of logits.
        sizes: two image sizes.
        channels_last: whether their features are, so that they need no turning.
        arguments: of a `keras.applications` model.
        start: its first layer after those that scale pixels, where it has such.
        name: to tell cases of one model apart.
    """

    model: str
    source: str
    theirs: object
    ours: dict = field(default_factory=dict)
    features: dict = field(default_factory=dict)
    classes: int = 5
    sizes: tuple = ((64, 64), (96, 64))
    channels_last: bool = False
    arguments: dict = field(default_factory=dict)
    start: str = ""
    name: str = ""

    @property
    def key(self):
        return "-".join(part for part in (self.model, self.source, self.name) if part)


def families():
    """The families that have cases."""
    return sorted(path.stem for path in (HERE / "sources").glob("*.py"))


def cases(names=()):
    """All cases, or those of some families."""
    sys.path[:0] = [path for path in (str(HERE), str(HERE / "sources")) if path not in sys.path]
    return [case for name in names or families() for case in importlib.import_module(f"sources.{name}").CASES]


def chosen(part=""):
    """All cases; with `"--sources"` the first of each family and source, with `"--families"` of each family,
    with `"--second"` of every second."""
    if not part:
        return cases()
    first = {}
    for family in families():
        for case in cases([family]):
            first.setdefault((family, case.source) if part == "--sources" else family, case)
    return list(first.values())[:: 2 if part == "--second" else 1]


def images(size, seed=0):
    """Two random images."""
    return np.random.default_rng(seed).normal(size=(2, *size, 3)).astype("float32")


def declare_operators():
    """torchvision's operators, in name only: it does not import without them and classifiers do not call them."""
    import torch

    sys.path.insert(0, str(ORACLES))
    library = torch.library.Library("torchvision", "DEF")
    box, pooled = "Tensor dets, Tensor scores, float iou_threshold", "int pooled_height, int pooled_width"
    rois = "Tensor input, Tensor rois, float spatial_scale"
    for schema in (
        f"nms({box}) -> Tensor",
        f"qnms({box}) -> Tensor",
        f"roi_align({rois}, {pooled}, int sampling_ratio, bool aligned) -> Tensor",
        f"roi_pool({rois}, {pooled}) -> (Tensor, Tensor)",
        f"ps_roi_align({rois}, {pooled}, int sampling_ratio) -> (Tensor, Tensor)",
        f"ps_roi_pool({rois}, {pooled}) -> (Tensor, Tensor)",
    ):
        library.define(schema)
    return library


def disturb(module):
    """Gives every parameter and statistic a value that a forgotten or swapped one would not have by chance."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(1 + 0.3 * noise.abs())
            elif value.ndim <= 1 and name.endswith(("weight", "gamma", "lambda_1")):
                value.copy_(1 + 0.1 * noise)  # scales, also those that start near zero
            elif value.ndim <= 1:
                value.add_(0.1 * noise)
            elif "position" in name or "pos_embed" in name or "token" in name or "bias_table" in name:
                value.copy_(0.2 * noise)


def write(case, folder):
    """The checkpoint and the arrays of one case."""
    import torch

    torch.manual_seed(0)
    theirs = case.theirs().eval()
    disturb(theirs)
    if case.source == "torchvision":
        torch.save(theirs.state_dict(), folder / f"{case.key}.pth")
    elif case.source == "transformers":  # whose files do not call things as its modules do
        theirs.save_pretrained(folder / "transformers")
        (folder / "transformers" / "model.safetensors").rename(folder / f"{case.key}.safetensors")
    else:
        from safetensors.torch import save_file

        state = {name: value.contiguous().clone() for name, value in theirs.state_dict().items()}
        save_file(state, folder / f"{case.key}.safetensors")
    caught, arrays = {}, {}

    def keep(stage):
        def hook(module, inputs, output):
            caught[stage] = output if torch.is_tensor(output) else output[0]

        return hook

    modules = dict(theirs.named_modules())
    for stage, name in case.features.items():
        modules[name].register_forward_hook(keep(stage))
    for i, size in enumerate(case.sizes):
        x = images(size)
        with torch.no_grad():
            y = theirs(torch.tensor(x).permute(0, 3, 1, 2).contiguous())
        y = getattr(y, "logits", y)
        arrays |= {f"{i}.logits": y.numpy()}
        for stage, value in caught.items():
            turn = value.ndim == 4 and not case.channels_last
            arrays[f"{i}.{stage}"] = (value.permute(0, 2, 3, 1) if turn else value).numpy()
    np.savez(folder / f"{case.key}.npz", **arrays)


def main():
    os.environ["KERAS_BACKEND"] = "torch"
    sys.modules["oracle"] = sys.modules[__name__]  # the cases' `from oracle import Case` is this module
    library = declare_operators()
    folder = Path(sys.argv[1])
    names = sys.argv[2:]
    for case in chosen(*names) if names[:1] == ["--sources"] else cases(names):
        if case.source != "keras":
            write(case, folder)
    del library


if __name__ == "__main__":
    main()
