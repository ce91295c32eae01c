"""EfficientNet elsewhere."""

import functools

from kzoo.models.vision.parts import NORM
from kzoo.weights.convert import Source
from kzoo.weights.mobilenet_v2 import timm_names
from kzoo.weights.rows import BLOCK, places


def torchvision_names(model):
    """torchvision's names, of either version."""
    blocks = places(model)
    leaves = {"conv": "0", "norm": "1", "squeeze": "fc1", "excite": "fc2"}

    def name(i, j, part, leaf):
        block = blocks[i, j]
        return f"features.{block.row + 1}.{block.position}.block.{block.parts.index(part)}.{leaves[leaf]}"

    top = 2 + max(block.row for block in blocks.values())
    return (
        ("stem_conv", "features.0.0"),
        ("stem_norm", "features.0.1"),
        (BLOCK, name),
        ("top_conv", f"features.{top}.0"),
        ("top_norm", f"features.{top}.1"),
        ("head", "classifier.1"),
    )


def keras_names(model, depthwise="dwconv"):
    """The names in `keras.applications`, of either version."""
    blocks = places(model)
    parts = {
        **{("depthwise", "conv"): depthwise, ("depthwise", "norm"): "bn"},
        **{("se", "squeeze"): "se_reduce", ("se", "excite"): "se_expand"},
    }
    leaves = {"conv": "conv", "norm": "bn"}

    def name(i, j, part, leaf):
        block = blocks[i, j]
        if part == "fused":
            part = "project" if len(block.parts) == 1 else "expand"
        prefix = f"block{block.row + 1}{chr(ord('a') + block.position)}"
        return f"{prefix}_{parts.get((part, leaf)) or f'{part}_{leaves[leaf]}'}"

    return (
        ("stem_norm", "stem_bn"),
        (BLOCK, name),
        ("top_norm", "top_bn"),
        ("head", "predictions"),
    )


def _transformers(model):
    blocks = places(model)
    names = {
        **{("expand", "conv"): "expansion.expand_conv", ("expand", "norm"): "expansion.expand_bn"},
        ("depthwise", "conv"): "depthwise_conv.depthwise_conv",
        ("depthwise", "norm"): "depthwise_conv.depthwise_norm",
        **{("se", "squeeze"): "squeeze_excite.reduce", ("se", "excite"): "squeeze_excite.expand"},
        **{("project", "conv"): "projection.project_conv", ("project", "norm"): "projection.project_bn"},
    }

    def name(i, j, part, leaf):
        return f"efficientnet.encoder.blocks.{blocks[i, j].index}.{names[part, leaf]}"

    return (
        ("stem_conv", "efficientnet.embeddings.convolution"),
        ("stem_norm", "efficientnet.embeddings.batchnorm"),
        (BLOCK, name),
        ("top_conv", "efficientnet.encoder.top_conv"),
        ("top_norm", "efficientnet.encoder.top_bn"),
        ("head", "classifier"),
    )


TENSORFLOW = dict(padding="same", norm=functools.partial(NORM, epsilon=1e-3, momentum=0.99))
# What each of our networks is called there, where published weights are listed.
NAMES = {
    "torchvision": {f"efficientnet_b{i}": f"efficientnet_b{i}" for i in range(8)},
    "timm": {f"efficientnet_b{i}": f"efficientnet_b{i}" for i in range(6)},
    "keras": {f"efficientnet_b{i}": f"EfficientNetB{i}" for i in range(8)},
}
# Its first layers scale pixels and `preprocess_input` does nothing: the mean and deviation that ours wants instead.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SCALED = {name: IMAGENET for name in NAMES["keras"]}
SOURCES = {
    "torchvision": Source(torchvision_names),
    "timm": Source(timm_names, arguments=dict(norm=NORM)),
    "transformers": Source(_transformers, arguments=TENSORFLOW),
    "keras": Source(
        keras_names, arguments=TENSORFLOW, ignored="normalization.*|.*seed_generator_state", layout="keras"
    ),
}
