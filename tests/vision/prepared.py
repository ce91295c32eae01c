"""How far a picture prepared for published weights is from what their publishers make of it: `python … PICTURE`.

Prints a JSON object: a set of weights for each thing that torchvision, timm or Keras does to pictures, and the largest
difference. It runs in a process of its own, since torchvision wants operators declared (`oracle.py`).
"""

import importlib
import json
import os
import sys

import numpy as np


def entries():
    """One of the sets of weights that want the same of a picture, here and there."""
    import timm

    import kzoo

    found = {}
    for model in kzoo.list_models(pretrained=True):
        for row in kzoo.weights.published(model):
            there = None
            if row.source == "timm":
                wanted = timm.models.get_pretrained_cfg(row.tag)
                there = (wanted.input_size, wanted.crop_pct, wanted.crop_mode, wanted.interpolation)
            found.setdefault((row.source, row.bgr, row.preprocessing, there), row)
    return found.values()


def names(row):
    """The module that says how a family is called elsewhere."""
    from kzoo.models import catalog

    return importlib.import_module(f"kzoo.weights.{catalog.family_of(row.model)}")


def torchvision_makes(row, picture):
    import torchvision

    weights = torchvision.models.get_model_weights(names(row).NAMES["torchvision"][row.model])[row.tag]
    x = weights.transforms()(picture)
    if row.model in getattr(names(row), "TRANSFORMED", {}).get("torchvision", {}):  # by the network itself
        network = type("Network", (), {"transform_input": True})()
        x = torchvision.models.GoogLeNet._transform_input(network, x[None])[0]
    return x.permute(1, 2, 0).numpy()


def timm_makes(row, picture):
    import timm

    wanted = timm.models.get_pretrained_cfg(row.tag).to_dict()
    options = timm.data.resolve_data_config({}, pretrained_cfg=wanted)
    return timm.data.create_transform(**options, is_training=False)(picture).permute(1, 2, 0).numpy()


def keras_makes(row, picture):
    """What `preprocess_input` makes of the resized picture, in our order of channels; `None` if it does nothing."""
    import keras
    from PIL import Image

    from kzoo.weights.load import keras_builder

    module = sys.modules[keras_builder(row.builder).func.__module__]
    h, w = row.preprocessing.image_shape[:2]
    x = np.asarray(picture.resize((w, h), Image.Resampling.BILINEAR), "float32")
    prepared = keras.ops.convert_to_numpy(module.preprocess_input(x[None].copy()))[0]
    if np.array_equal(prepared, x):
        return None
    return prepared[..., ::-1] if row.bgr else prepared


def main():
    os.environ["KERAS_BACKEND"] = "torch"
    import oracle

    library = oracle.declare_operators()
    from PIL import Image

    path, found = sys.argv[1], {}
    with Image.open(path) as file:
        picture = file.convert("RGB")
    makes = {"torchvision": torchvision_makes, "timm": timm_makes, "keras": keras_makes}
    for row in entries():
        if (theirs := makes[row.source](row, picture)) is not None:
            (ours,) = row.preprocessing.of_files([path])
            assert ours.shape == theirs.shape, row
            found[f"{row.model} {row.key}"] = float(np.abs(ours - theirs).max())
    del library
    print(json.dumps(found))


if __name__ == "__main__":
    main()
