"""Vision transformers in timm, torchvision and Transformers."""

import functools

from oracle import Case

from kzoo.layers import SinePositionEncoding
from kzoo.models.vision.vit import resnet_stem

# 5 blocks: the quarters end after the 1st, 2nd, 3rd and 5th.
SHALLOW = dict(dim=24, depth=5, num_heads=3, patch_size=16)
ENDS = (0, 1, 2, 4)
SMALL_STEM = functools.partial(resnet_stem, depths=(1, 2, 1), filters=8, groups=4)


def timm(**arguments):
    def make():
        from timm.models.vision_transformer import VisionTransformer

        sizes = dict(patch_size=16, embed_dim=24, depth=5, num_heads=3, num_classes=5)
        return VisionTransformer(img_size=64, **sizes, dynamic_img_size=True, **arguments)

    return make


def timm_hybrid():
    from timm.layers import HybridEmbed, StdConv2dSame
    from timm.layers.norm_act import GroupNormAct
    from timm.models.resnetv2 import ResNetV2
    from timm.models.vision_transformer import VisionTransformer

    backbone = ResNetV2(
        layers=(1, 2, 1),
        channels=(32, 64, 128),
        stem_chs=8,
        num_classes=0,
        global_pool="",
        preact=False,
        stem_type="same",
        conv_layer=functools.partial(StdConv2dSame, eps=1e-8),
        norm_layer=functools.partial(GroupNormAct, num_groups=4),
    )
    embed = functools.partial(HybridEmbed, backbone=backbone)
    sizes = dict(patch_size=1, embed_dim=24, depth=5, num_heads=3, num_classes=5)
    return VisionTransformer(img_size=64, **sizes, embed_layer=embed, dynamic_img_size=True)


def torchvision(size):
    def make():
        from torchvision.models.vision_transformer import VisionTransformer

        return VisionTransformer(size, 16, 5, 3, 24, 96, num_classes=5)

    return make


def transformers(size):
    def make():
        from transformers import ViTConfig, ViTForImageClassification

        sizes = dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=3, intermediate_size=96)
        return ViTForImageClassification(ViTConfig(**sizes, image_size=size, num_labels=5))

    return make


def stages(name):
    return {f"stage_{i}": name.format(j) for i, j in enumerate(ENDS, 1)}


TIMM, TORCHVISION = stages("blocks.{}"), stages("encoder.layers.encoder_layer_{}")
CASES = [
    # The second size's positions are resized, there and here.
    Case("vit_tiny_patch16", "timm", timm(), SHALLOW, TIMM),
    Case(
        *("vit_tiny_patch16", "timm", timm(class_token=False, global_pool="avg", fc_norm=False)),
        *(SHALLOW | dict(pool="mean"), TIMM),
        name="mean",
    ),
    Case(
        *("vit_base_resnet50", "timm", timm_hybrid, SHALLOW | dict(patch_size=1, stem=SMALL_STEM)),
        TIMM | {"stem": "patch_embed.backbone"},
    ),
    # Their positions belong to one size of image; of 50 pixels the last two make no patch.
    *(
        Case(
            *("vit_tiny_patch16", "torchvision", torchvision(size), SHALLOW, TORCHVISION),
            sizes=((size, size),),
            name=str(size),
        )
        for size in (64, 96)
    ),
    *(
        Case(
            *("vit_tiny_patch16", "transformers", transformers(size), SHALLOW, stages("vit.layers.{}")),
            sizes=(size,),
            name="x".join(map(str, size)),
        )
        for size in ((64, 64), (96, 50))
    ),
]
# With 1,000 classes at 224 x 224: timm 1.0.31; torchvision 0.28 has the same for B, L and H.
PARAMETERS = {
    "vit_tiny_patch16": 5_717_416,
    "vit_small_patch8": 22_055_272,
    "vit_small_patch16": 22_050_664,
    "vit_small_patch32": 22_878_952,
    "vit_base_patch8": 86_576_872,
    "vit_base_patch16": 86_567_656,
    "vit_base_patch32": 88_224_232,
    "vit_large_patch14": 304_203_752,
    "vit_large_patch16": 304_326_632,
    "vit_large_patch32": 306_535_400,
    "vit_huge_patch14": 632_045_800,
    "vit_base_resnet50": 98_659_112,
    "vit_small_resnet26": 36_431_912,
    "vit_large_resnet50": 328_994_856,
}
# The gate's small networks: image shape, then arguments.
TINY = {
    "vit_tiny_patch16": dict(image_shape=(8, 8, 3), dim=8, depth=5, num_heads=2, patch_size=4),
    "vit_base_patch16": dict(
        image_shape=(9, 8, 3),
        dim=8,
        depth=2,
        num_heads=2,
        patch_size=4,
        positions=SinePositionEncoding,
        pool="mean",
    ),
    "vit_base_resnet50": dict(image_shape=(32, 32, 3), dim=8, depth=1, num_heads=2, stem=SMALL_STEM),
}
