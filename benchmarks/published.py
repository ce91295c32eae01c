"""Reads out of torchvision, timm and Keras what weights they publish for our models: `kzoo/weights/published.json`.

`python benchmarks/published.py`, with torchvision and timm in `.venv/oracles` (`make env`). URLs, digests, licences,
preprocessing and accuracies are those libraries' own statements; Keras states its accuracies on keras.io and in
MobileNetV3's docstring (`KERAS`), timm in its repository (`timm_top1.json`: those measured at the weights' own image
size). `docs/weights.md` shows all.
"""

import importlib
import json
import math
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
os.environ["KERAS_BACKEND"] = "jax"
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "vision")]

import oracle  # noqa: E402

LIBRARY = oracle.declare_operators()

import keras  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402
import weights_page  # noqa: E402
from keras.src.utils import file_utils  # noqa: E402

from kzoo.backend.state import unallocated  # noqa: E402
from kzoo.models import catalog  # noqa: E402
from kzoo.weights.load import keras_builder, sources_of  # noqa: E402

# keras.io/api/applications and the docstring of MobileNetV3, top-1 in percent
KERAS = {
    "Xception": 79.0, "VGG16": 71.3, "VGG19": 71.3, "ResNet50": 74.9, "ResNet50V2": 76.0, "ResNet101": 76.4,
    "ResNet101V2": 77.2, "ResNet152": 76.6, "ResNet152V2": 78.0, "InceptionV3": 77.9, "InceptionResNetV2": 80.3,
    "MobileNet": 70.4, "MobileNetV2": 71.3, "DenseNet121": 75.0, "DenseNet169": 76.2, "DenseNet201": 77.3,
    "EfficientNetB0": 77.1, "EfficientNetB1": 79.1, "EfficientNetB2": 80.1, "EfficientNetB3": 81.6,
    "EfficientNetB4": 82.9, "EfficientNetB5": 83.6, "EfficientNetB6": 84.0, "EfficientNetB7": 84.3,
    "EfficientNetV2B0": 78.7, "EfficientNetV2B1": 79.8, "EfficientNetV2B2": 80.5, "EfficientNetV2B3": 82.0,
    "EfficientNetV2S": 83.9, "EfficientNetV2M": 85.3, "EfficientNetV2L": 85.7, "ConvNeXtTiny": 81.3,
    "ConvNeXtSmall": 82.3, "ConvNeXtBase": 85.3, "ConvNeXtLarge": 86.3, "ConvNeXtXLarge": 86.7,
    "MobileNetV3Large": 75.6, "MobileNetV3Large(alpha=0.75)": 73.3,
    "MobileNetV3Small": 68.1, "MobileNetV3Small(alpha=0.75)": 65.4,
}  # fmt: skip
TIMM = json.loads(Path(__file__).with_name("timm_top1.json").read_text())


def called_elsewhere(model):
    """Source to what the model is called there, as the family's `weights` module says, or by the same name."""
    names = getattr(weights_module(model), "NAMES", {})
    return {source: table.get(model) for source, table in names.items()}


def weights_module(model):
    return importlib.import_module(f"kzoo.weights.{catalog.family_of(model)}")


def of_torchvision(model, name):
    for weights in torchvision.models.get_model_weights(name):
        if weights.meta["categories"] is None:  # features alone
            continue
        wanted, digest = weights.transforms(), weights.url.rpartition("-")[2].partition(".")[0]
        changed = getattr(weights_module(model), "TRANSFORMED", {}).get("torchvision", {})
        mean, std = changed.get(
            model, (wanted.mean, wanted.std)
        )  # where the network changes its input itself
        yield dict(
            model=model,
            source="torchvision",
            tag=weights.name,
            url=weights.url,
            digest=f"sha256:{digest}",
            licence=None,
            top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
            num_classes=len(weights.meta["categories"]),
            image_size=wanted.crop_size[0],
            resize=wanted.resize_size[0],
            interpolation=wanted.interpolation.value,
            mean=mean,
            std=std,
        )


def of_timm(model, name):
    for full in timm.list_pretrained(f"{name}.*"):
        wanted = timm.models.get_pretrained_cfg(full)
        if not wanted.hf_hub_id or wanted.custom_load or wanted.num_classes == 0:
            continue
        size = wanted.input_size[1]
        # Pictures are squashed to the size. tf_efficientnetv2_b3.in21k_ft_in1k squashes to 266 and then cuts 240 out:
        # ours brings its shorter side to 266.
        whole = wanted.crop_mode == "squash" and wanted.crop_pct == 1.0
        yield dict(
            model=model,
            source="timm",
            tag=full,
            url=f"https://huggingface.co/{wanted.hf_hub_id}/resolve/main/model.safetensors",
            digest=None,
            licence=wanted.license,
            top1=TIMM.get(full),
            num_classes=wanted.num_classes,
            image_size=size,
            resize=None if whole else int(size / wanted.crop_pct),
            interpolation=wanted.interpolation,
            mean=wanted.mean,
            std=wanted.std,
        )


ALGORITHMS = {32: "md5", 64: "sha256"}  # by the length of a digest


class Caught(Exception):
    """What Keras would have fetched."""


def of_keras(model, name):
    def caught(fname, origin, file_hash=None, **options):
        raise Caught(origin, file_hash)

    file_utils.get_file, before = caught, file_utils.get_file
    try:
        builder = keras_builder(name)
        with unallocated():
            builder(weights="imagenet")
    except Caught as error:
        url, digest = error.args
    finally:
        file_utils.get_file = before
    module = sys.modules[builder.func.__module__]
    with unallocated():
        size = builder(weights=None).input_shape[1]
    probe = keras.ops.convert_to_numpy(module.preprocess_input(probe_image()))
    inside = getattr(weights_module(model), "SCALED", {}).get(model)
    yield dict(
        model=model,
        source="keras",
        tag="imagenet",
        url=url,
        digest=digest and f"{ALGORITHMS[len(digest)]}:{digest}",
        licence="apache-2.0",
        top1=KERAS.get(name),
        image_size=size,
        resize=None,
        builder=name,
        **(dict(mean=inside[0], std=inside[1]) if inside else preprocessing(probe)),
    )


def probe_image():
    """Two pixels, from which the preprocessing can be told."""
    import numpy as np

    return np.array([[[[0.0, 0.0, 0.0]], [[255.0, 127.5, 51.0]]]])


def preprocessing(probe):
    """Mean, deviation and order of channels from what became of the two pixels."""
    zero, one = probe[0, 0, 0], probe[0, 1, 0]
    shades = [1.0, 0.5, 0.2]
    bgr = abs((one - zero)[0] / (one - zero)[1] - 2.0) > 0.1
    slopes = (one - zero) / (shades[::-1] if bgr else shades)
    mean, std = [-z / s for z, s in zip(zero, slopes)], [1 / s for s in slopes]
    if bgr:
        mean, std = mean[::-1], std[::-1]
    return dict(mean=[round(float(m), 6) for m in mean], std=[round(float(s), 8) for s in std], bgr=bool(bgr))


READERS = {"torchvision": of_torchvision, "timm": of_timm, "keras": of_keras}


def main():
    rows = []
    for model in catalog.list_models():
        called = called_elsewhere(model) if sources_of(catalog.family_of(model)) else {}
        for source, read in READERS.items():
            if called.get(source):
                rows += read(model, called[source])
    costs = {model: cost for model in catalog.list_models() if (cost := cost_of(model))}
    folder = ROOT / "kzoo" / "weights"
    lines = ",\n".join("  " + json.dumps({key: v for key, v in row.items() if v is not None}) for row in rows)
    (folder / "published.json").write_text(f"[\n{lines}\n]\n")
    labels = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    (folder / "imagenet_labels.txt").write_text("\n".join(labels) + "\n")
    (ROOT / "kzoo" / "models" / "costs.json").write_text(json.dumps(costs, indent=1) + "\n")
    weights_page.write()


def cost_of(model):
    """Its parameters, and its multiply-adds where these do not depend on the data's size or length."""
    from kzoo.models.cost import multiply_adds

    try:
        made = catalog.skeleton(model)
    except ValueError:  # no size of its own
        return None
    parameters = sum(math.prod(variable.shape) for variable in made.trainable_variables)  # as papers count
    try:
        return {"parameters": parameters, "multiply_adds": multiply_adds(made)}
    except ValueError:
        return {"parameters": parameters}


if __name__ == "__main__":
    main()
