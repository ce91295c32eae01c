"""MobileNetV3 elsewhere."""

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source
from kzoo.weights.mobilenet_v2 import timm_names
from kzoo.weights.rows import BLOCK, places


def _torchvision(model):
    blocks = places(model)
    leaves = {"conv": "0", "norm": "1", "squeeze": "fc1", "excite": "fc2"}

    def name(i, j, part, leaf):
        block = blocks[i, j]
        return f"features.{block.index + 1}.block.{block.parts.index(part)}.{leaves[leaf]}"

    top = len(blocks) + 1
    return (
        ("stem_conv", "features.0.0"),
        ("stem_norm", "features.0.1"),
        (BLOCK, name),
        ("top_conv", f"features.{top}.0"),
        ("top_norm", f"features.{top}.1"),
        ("top_dense", "classifier.0"),
        ("head", "classifier.3"),
    )


def _timm(model):
    last = 1 + max(block.row for block in places(model).values())  # a row of one convolution there
    own = (
        ("top_conv", f"blocks.{last}.0.conv"),
        ("top_norm", f"blocks.{last}.0.bn1"),
        ("top_dense", "conv_head"),
    )
    return own + timm_names(model)


def _keras(model):
    blocks = places(model)
    leaves = {"conv": "", "norm": "_bn", "squeeze": "_conv", "excite": "_conv_1"}

    def name(i, j, part, leaf):
        index = blocks[i, j].index
        prefix = f"expanded_conv_{index}" if index else "expanded_conv"
        return f"{prefix}_{'squeeze_excite' if part == 'se' else part}{leaves[leaf]}"

    return (
        ("stem_conv", "conv"),
        ("stem_norm", "conv_bn"),
        (BLOCK, name),
        ("top_conv", "conv_1"),
        ("top_norm", "conv_1_bn"),
        ("top_dense", "conv_2"),
        ("head", "logits"),
    )


# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {f"mobilenet_v3_{size}": f"mobilenet_v3_{size}" for size in ("large", "small")},
    "timm": {
        **{f"mobilenet_v3_{size}": f"mobilenetv3_{size}_100" for size in ("large", "small")},
        **{f"mobilenet_v3_small_{width}": f"mobilenetv3_small_{width}" for width in ("050", "075")},
    },
    "keras": {
        "mobilenet_v3_large": "MobileNetV3Large",
        "mobilenet_v3_large_075": "MobileNetV3Large(alpha=0.75)",
        "mobilenet_v3_small": "MobileNetV3Small",
        "mobilenet_v3_small_075": "MobileNetV3Small(alpha=0.75)",
    },
}
# Its first layers scale pixels and `preprocess_input` does nothing: the mean and deviation that ours wants instead.
SCALED = {name: ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) for name in NAMES["keras"]}
SOURCES = {
    "torchvision": Source(_torchvision),
    "timm": Source(_timm, arguments=dict(norm=NORM)),
    "keras": Source(_keras, arguments=dict(padding="same"), layout="keras"),
}
