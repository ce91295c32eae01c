"""EfficientNetV2 elsewhere."""

import functools

from kzoo.weights.convert import Source
from kzoo.weights.efficientnet import IMAGENET, keras_names, torchvision_names
from kzoo.weights.mobilenet_v2 import timm_names

# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {f"efficientnet_v2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
    "timm": {
        f"efficientnet_v2_{size}": f"tf_efficientnetv2_{size}"
        for size in ("s", "m", "l", "xl", "b0", "b1", "b2", "b3")
    },
    "keras": {
        f"efficientnet_v2_{size.lower()}": f"EfficientNetV2{size}"
        for size in ("S", "M", "L", "B0", "B1", "B2", "B3")
    },
}
# Its first layers scale pixels and `preprocess_input` does nothing: the mean and deviation that ours wants instead.
SCALED = {
    **{f"efficientnet_v2_{size}": ((128 / 255,) * 3, (128 / 255,) * 3) for size in "sml"},
    **{f"efficientnet_v2_b{i}": IMAGENET for i in range(4)},
}
SOURCES = {
    "torchvision": Source(torchvision_names),
    "timm": Source(
        timm_names, arguments=dict(padding="same")
    ),  # those converted from the authors', named tf_...
    "keras": Source(
        functools.partial(keras_names, depthwise="dwconv2"), arguments=dict(padding="same"), layout="keras"
    ),
}
