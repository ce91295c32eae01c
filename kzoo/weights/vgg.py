"""VGG elsewhere."""

import re

from kzoo.weights.convert import Source
from kzoo.weights.flattened import flattened


def _features(model):
    """torchvision and timm number convolutions, normalisations, ReLUs and poolings in one list."""
    number = 0
    for layer in model.layers:
        if re.fullmatch(r"stem_conv|stage_\d_conv_\d+|stem_norm|stage_\d_norm_\d+", layer.name):
            yield layer.name, f"features.{number}"
        if re.fullmatch(r"(stem|stage_\d)_(conv|norm|relu|pool).*|stage_\d", layer.name):
            number += 1


def _torch(dense):
    return Source(
        lambda model: (*_features(model), *zip(("hidden_1", "hidden_2", "head"), dense)),
        tensors=(("hidden_1/kernel", f"{dense[0]}.weight", flattened(7, 7)),),
    )


# What each of our networks is called there, where published weights are listed.
ALL = {f"vgg{depth}{norm}": f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
NAMES = {"torchvision": ALL, "timm": ALL, "keras": {"vgg16": "VGG16", "vgg19": "VGG19"}}
SOURCES = {
    "torchvision": _torch(("classifier.0", "classifier.3", "classifier.6")),
    "timm": _torch(("pre_logits.fc1", "pre_logits.fc2", "head.fc")),
    "keras": Source(
        (
            ("stem_conv", "block1_conv1"),
            (r"stage_(\d)_conv_(\d)", r"block\1_conv\2"),
            (r"hidden_(\d)", r"fc\1"),
            ("head", "predictions"),
        ),
        layout="keras",
    ),
}
