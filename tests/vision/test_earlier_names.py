"""Files from before a library renamed its layers. (Transformers still writes them so: `oracle.py` covers those.)"""

import re

import numpy as np
import pytest

from kzoo.models import catalog
from kzoo.weights import convert
from kzoo.weights.swin import SOURCES


@pytest.mark.once
def test_the_authors_swin_files_are_read_as_timms():
    sizes = dict(dim=4, depths=(1, 2, 1), num_heads=(1, 2, 2), window_size=2)
    model = catalog.skeleton("swin_tiny", image_shape=(32, 32, 3), num_classes=2, **sizes)
    rng, timm = np.random.default_rng(0), {}
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            name, _ = convert._counterpart(layer, variable, SOURCES["timm"])
            order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(len(variable.shape), (0,))
            shape = tuple(variable.shape)
            timm[name] = rng.normal(size=shape if "table" in name else [shape[i] for i in order])
    wanted = convert.turned(model, SOURCES["timm"], timm)

    def earlier(name):
        name = re.sub(
            r"layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) - 1}.downsample", name
        )
        return name.replace("head.fc", "head")

    authors = {earlier(name): array for name, array in timm.items()}
    authors["layers.0.blocks.0.attn.relative_position_index"] = np.zeros((4, 4))
    assert set(authors) != set(timm)
    found = convert.turned(model, SOURCES["timm"], authors)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[path], wanted[path]) for path in wanted)
