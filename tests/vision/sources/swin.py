"""Swin transformers in timm, torchvision and Transformers."""

from oracle import Case

OURS = dict(dim=12, depths=(2, 1, 2, 1), num_heads=(1, 2, 3, 6), window_size=2)
WIDE = OURS | dict(depths=(2, 2), num_heads=(2, 3), window_size=3)


def torchvision(**arguments):
    def make():
        from torchvision.models.swin_transformer import SwinTransformer

        return SwinTransformer(
            **dict(patch_size=[4, 4], embed_dim=12, mlp_ratio=4.0, num_classes=5, **arguments)
        )

    return make


def timm(size):
    def make():
        from timm.models.swin_transformer import SwinTransformer

        # Windows that tile the maps: where they do not, timm shifts before it pads.
        sizes = dict(embed_dim=12, depths=(2, 1, 2, 1), num_heads=(1, 2, 3, 6), window_size=2)
        return SwinTransformer(img_size=size, **sizes, num_classes=5)

    return make


def transformers():
    from transformers import SwinConfig, SwinForImageClassification

    sizes = dict(embed_dim=12, depths=[2, 1, 2, 1], num_heads=[1, 2, 3, 6], window_size=2)
    return SwinForImageClassification(SwinConfig(image_size=64, num_labels=5, **sizes))


CASES = [
    Case(
        *("swin_tiny", "torchvision"),
        torchvision(depths=[2, 1, 2, 1], num_heads=[1, 2, 3, 6], window_size=[2, 2]),
        OURS,
        {"stem": "features.0", "stage_1": "features.1", "stage_2": "features.3", "stage_3": "features.5"}
        | {"stage_4": "features.7"},
        channels_last=True,
    ),
    # Odd maps, windows that do not tile them, and one window that covers an axis.
    Case(
        *("swin_tiny", "torchvision"),
        torchvision(depths=[2, 2], num_heads=[2, 3], window_size=[3, 3]),
        WIDE,
        {"stem": "features.0", "stage_1": "features.1", "stage_2": "features.3"},
        sizes=((45, 30), (22, 53)),
        channels_last=True,
        name="padded",
    ),
    *(
        Case(
            *("swin_tiny", "timm", timm(size), OURS),
            {f"stage_{i}": f"layers.{i - 1}" for i in range(1, 5)},
            sizes=(size,),
            channels_last=True,
            name="x".join(map(str, size)),
        )
        for size in ((64, 64), (128, 64))
    ),
    Case(
        *("swin_tiny", "transformers", transformers, OURS),
        {
            f"stage_{i}": f"swin.encoder.layers.{i - 1}.blocks.{j}"
            for i, j in ((1, 1), (2, 0), (3, 1), (4, 0))
        },
        sizes=((64, 64), (128, 64)),
    ),
]
# With 1,000 classes: timm 1.0.31; torchvision 0.28 has the same for T, S and B. The image's size plays no part.
PARAMETERS = {
    "swin_tiny": 28_288_354,
    "swin_small": 49_606_258,
    "swin_base": 87_768_224,
    "swin_large": 196_532_476,
    "swin_base_window12": 87_903_584,
    "swin_large_window12": 196_735_516,
}
# The gate's small networks: image shape, then arguments.
TINY = {
    "swin_tiny": dict(
        image_shape=(18, 16, 3), dim=4, depths=(2, 1), num_heads=(1, 2), window_size=3, patch_size=2
    ),
    "swin_base": dict(
        image_shape=(8, 8, 3), dim=4, depths=(2, 2), num_heads=(2, 2), window_size=2, patch_size=2
    ),
}
