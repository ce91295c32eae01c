"""Writes `docs/weights.md`: every published set of weights, with licence, cost and the accuracy its publisher states.

`published.py` calls it; it reads `published.json` and `costs.json` alone and needs none of the publishers' libraries.
"""

import importlib
import json
from pathlib import Path

from kzoo.models import catalog
from kzoo.weights.catalog import Published

ROOT = Path(__file__).parents[1]

HEAD = """\
# Published weights

Each row is a set of weights that torchvision, timm or Keras publishes for a model of kzoo. Its key goes into
`kzoo.create_model("resnet50", pretrained="torchvision:IMAGENET1K_V2")`. [Image classifiers](classifiers.md) says more.

- **Parameters** (millions) are the trained ones. **Multiply-adds** (thousand millions) are those of one image. Both are
  counted by kzoo for the model at its own image size and with its own head; a set with another image size or other
  classes costs more or less.
- **Weights** is the key. **Image** is the height and width that the set wants. **Classes** is the width of its head.
- **Licence** is the publisher's statement. torchvision states none for its weights. For those of Keras it is the
  licence of Keras itself. `cc-by-nc-4.0` does not allow commercial use.
- **Top-1** is the accuracy on ImageNet's validation set in percent. These are the publishers' figures: torchvision's
  from the meta data of its weights, timm's from `results/results-imagenet.csv` in its repository, Keras's from
  keras.io and the docstring of MobileNetV3. kzoo did not measure them; `kzoo validate` measures, on a folder of yours.
  A dash: the publisher gives no figure, or timm's is for another image size, or the classes are not ImageNet's 1,000.

| model | parameters (M) | multiply-adds (G) | weights | image | classes | licence | top-1 % |
| --- | ---: | ---: | --- | ---: | ---: | --- | ---: |
"""


def page():
    """The text of `docs/weights.md`: a row per set, in the order of the catalog's families and their sizes."""
    published = {}
    for row in json.loads((ROOT / "kzoo" / "weights" / "published.json").read_text()):
        published.setdefault(row["model"], []).append(Published(**row))
    costs = json.loads((ROOT / "kzoo" / "models" / "costs.json").read_text())
    modules = (importlib.import_module(module) for module in catalog.FAMILIES.values())
    models = [name for module in modules for name in module.SIZES if name in published]
    return HEAD + "".join(_row(entry, costs[name]) for name in models for entry in published[name])


def _row(entry, cost):
    cells = (
        entry.model,
        f"{cost['parameters'] / 1e6:.1f}",
        f"{cost['multiply_adds'] / 1e9:.2f}",
        f"`{entry.key}`",
        entry.image_size,
        f"{entry.num_classes:,}",
        entry.licence or "–",
        "–" if entry.top1 is None else entry.top1,
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def write():
    """Writes `docs/weights.md`."""
    (ROOT / "docs" / "weights.md").write_text(page())
