"""ConvNeXt elsewhere."""

from kzoo.weights.convert import Source

BLOCK = r"stage_(\d+)_block_(\d+)_"


def _vector(a, variable):
    return a.reshape(-1)


def _grouped(a, variable):
    return a.transpose(0, 1, 3, 2)  # a convolution in groups of one: (h, w, 1, c) to (h, w, c, 1)


# Stages and the convolutions between them take turns there. The patches are module 0.
TORCHVISION = Source(
    modules=(
        ("stem_conv", "features.0.0"),
        ("stem", "features.0.1"),
        (r"stage_(\d+)_norm", lambda i: f"features.{2 * i - 2}.0"),
        (r"stage_(\d+)_conv", lambda i: f"features.{2 * i - 2}.1"),
        (f"{BLOCK}depthwise", lambda i, j: f"features.{2 * i - 1}.{j - 1}.block.0"),
        (f"{BLOCK}norm", lambda i, j: f"features.{2 * i - 1}.{j - 1}.block.2"),
        (f"{BLOCK}dense_(\\d)", lambda i, j, k: f"features.{2 * i - 1}.{j - 1}.block.{2 * k + 1}"),
        ("top_norm", "classifier.0"),
        ("head", "classifier.2"),
    ),
    tensors=((f"{BLOCK}scale/scale", lambda i, j: f"features.{2 * i - 1}.{j - 1}.layer_scale", _vector),),
)
TIMM = Source(
    modules=(
        ("stem_conv", "stem.0"),
        ("stem", "stem.1"),
        (r"stage_(\d+)_norm", lambda i: f"stages.{i - 1}.downsample.0"),
        (r"stage_(\d+)_conv", lambda i: f"stages.{i - 1}.downsample.1"),
        (f"{BLOCK}depthwise", lambda i, j: f"stages.{i - 1}.blocks.{j - 1}.conv_dw"),
        (f"{BLOCK}norm", lambda i, j: f"stages.{i - 1}.blocks.{j - 1}.norm"),
        (f"{BLOCK}dense_(\\d)", lambda i, j, k: f"stages.{i - 1}.blocks.{j - 1}.mlp.fc{k}"),
        ("top_norm", "head.norm"),
        ("head", "head.fc"),
    ),
    tensors=((f"{BLOCK}scale/scale", lambda i, j: f"stages.{i - 1}.blocks.{j - 1}.gamma", _vector),),
)


def _stage(i, part):
    return f"convnext.encoder.stages.{i - 1}.{part}"


TRANSFORMERS = Source(
    modules=(
        ("stem_conv", "convnext.embeddings.patch_embeddings"),
        ("stem", "convnext.embeddings.layernorm"),
        (r"stage_(\d+)_norm", lambda i: _stage(i, "downsampling_layer.0")),
        (r"stage_(\d+)_conv", lambda i: _stage(i, "downsampling_layer.1")),
        (f"{BLOCK}depthwise", lambda i, j: _stage(i, f"layers.{j - 1}.dwconv")),
        (f"{BLOCK}norm", lambda i, j: _stage(i, f"layers.{j - 1}.layernorm")),
        (f"{BLOCK}dense_(\\d)", lambda i, j, k: _stage(i, f"layers.{j - 1}.pwconv{k}")),
        ("top_norm", "convnext.layernorm"),
        ("head", "classifier"),
    ),
    tensors=(
        (f"{BLOCK}scale/scale", lambda i, j: _stage(i, f"layers.{j - 1}.layer_scale_parameter"), _vector),
    ),
)


# What there is in a Sequential is a layer of a layer. The name of each size comes first, and scales have none.
KERAS = Source(
    modules=(
        ("stem_conv", "stem/stem_conv"),
        ("stem", "stem/stem_layernorm"),
        (r"stage_(\d+)_norm", lambda i: f"downsampling_block_{i - 2}/downsampling_layernorm_{i - 2}"),
        (r"stage_(\d+)_conv", lambda i: f"downsampling_block_{i - 2}/downsampling_conv_{i - 2}"),
        (f"{BLOCK}norm", lambda i, j: f"stage_{i - 1}_block_{j - 1}_layernorm"),
        (f"{BLOCK}dense_(\\d)", lambda i, j, k: f"stage_{i - 1}_block_{j - 1}_pointwise_conv_{k}"),
        (f"{BLOCK}depthwise", lambda i, j: f"stage_{i - 1}_block_{j - 1}_depthwise_conv"),
        (f"{BLOCK}scale", lambda i, j: f"stage_{i - 1}_block_{j - 1}_layer_scale"),
        ("top_norm", "head_layernorm"),
        ("head", "head_dense"),
    ),
    tensors=(
        (
            f"{BLOCK}depthwise/kernel",
            lambda i, j: f"stage_{i - 1}_block_{j - 1}_depthwise_conv/kernel",
            _grouped,
        ),
    ),
    layout="keras",
    renamed=((r"convnext_[a-z]+_", ""), (r"_scale/variable(_\d+)?$", "_scale/scale")),
)
# What each of our networks is called there, where published weights are listed.
SIZES = ("tiny", "small", "base", "large")
NAMES = {
    "torchvision": {f"convnext_{size}": f"convnext_{size}" for size in SIZES},
    "timm": {f"convnext_{size}": f"convnext_{size}" for size in (*SIZES, "xlarge")},
    "keras": {
        **{f"convnext_{size}": f"ConvNeXt{size.title()}" for size in SIZES},
        "convnext_xlarge": "ConvNeXtXLarge",
    },
}
# Its first layers scale pixels and `preprocess_input` does nothing: the mean and deviation that ours wants instead.
SCALED = {name: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) for name in NAMES["keras"]}
SOURCES = {"torchvision": TORCHVISION, "timm": TIMM, "transformers": TRANSFORMERS, "keras": KERAS}
