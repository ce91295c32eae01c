"""ConvNeXt in torchvision, timm, Transformers and keras.applications."""

from oracle import Case

DEPTHS, DIMS = [1, 2, 1, 1], [16, 24, 32, 48]
SHALLOW = dict(depths=DEPTHS, dims=DIMS)


def torchvision():
    import torch
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    after = [*DIMS[1:], None]
    model = ConvNeXt([CNBlockConfig(d, f, n) for d, f, n in zip(DIMS, after, DEPTHS)], num_classes=5)
    for name, value in model.named_parameters():
        if name.endswith("layer_scale"):  # which starts too near zero for the branches to count
            torch.nn.init.normal_(value)
    return model


def timm():
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(num_classes=5, depths=DEPTHS, dims=DIMS)


def transformers():
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return ConvNextForImageClassification(
        ConvNextConfig(depths=DEPTHS, hidden_sizes=DIMS, num_labels=5, layer_norm_eps=1e-6)
    )


CASES = [
    Case(
        *("convnext_tiny", "torchvision", torchvision, SHALLOW),
        {"stem": "features.0", **{f"stage_{i}": f"features.{2 * i - 1}" for i in (1, 2, 3, 4)}},
    ),
    Case(
        *("convnext_tiny", "timm", timm, SHALLOW),
        {"stem": "stem", **{f"stage_{i}": f"stages.{i - 1}" for i in (1, 2, 3, 4)}},
        sizes=((64, 64), (99, 66)),
    ),
    Case(
        *("convnext_tiny", "transformers", transformers, SHALLOW),
        {f"stage_{i}": f"convnext.encoder.stages.{i - 1}" for i in (1, 2, 3, 4)},
    ),
    Case(
        *("convnext_tiny", "keras", "ConvNeXtTiny", {}),
        {"stem": "convnext_tiny_stem"},
        arguments=dict(include_preprocessing=False),
    ),
]
# With 1,000 classes: torchvision 0.28; XL timm 1.0.31.
PARAMETERS = {
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "convnext_base": 88_591_464,
    "convnext_large": 197_767_336,
    "convnext_xlarge": 350_196_968,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "convnext_tiny": dict(image_shape=(16, 16, 3), depths=(1, 2), dims=(4, 6), layer_scale=0.1),
    "convnext_small": dict(image_shape=(9, 9, 1), depths=(1, 1), dims=(4, 6), stem="small", layer_scale=0),
}
