"""DeiT in timm and Transformers."""

from oracle import Case
from sources import vit
from sources.vit import SHALLOW, TIMM, stages


def timm(kind):
    def make():
        from timm.models import deit, vision_transformer

        network = getattr(deit if kind.endswith("Distilled") else vision_transformer, kind)
        sizes = dict(patch_size=16, embed_dim=24, depth=5, num_heads=3, num_classes=5)
        return network(img_size=64, **sizes, dynamic_img_size=True)

    return make


def transformers(size):
    def make():
        from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

        sizes = dict(hidden_size=24, num_hidden_layers=5, num_attention_heads=3, intermediate_size=96)
        return DeiTForImageClassificationWithTeacher(DeiTConfig(**sizes, image_size=size, num_labels=5))

    return make


DISTILLED = "deit_tiny_distilled_patch16"
CASES = [
    Case("deit_tiny_patch16", "timm", timm("VisionTransformer"), SHALLOW, TIMM),
    Case(DISTILLED, "timm", timm("VisionTransformerDistilled"), SHALLOW, TIMM),
    # Transformers has the ones without a teacher as ViT.
    Case(
        *("deit_tiny_patch16", "transformers", vit.transformers(64), SHALLOW, stages("vit.layers.{}")),
        sizes=((64, 64),),
    ),
    *(
        Case(
            DISTILLED,
            "transformers",
            transformers(size),
            SHALLOW,
            stages("deit.layers.{}"),
            sizes=(size,),
            name="x".join(map(str, size)),
        )
        for size in ((64, 64), (96, 50))
    ),
]
# With 1,000 classes at 224 x 224: timm 1.0.31.
PARAMETERS = {
    "deit_tiny_patch16": 5_717_416,
    "deit_tiny_distilled_patch16": 5_910_800,
    "deit_small_patch16": 22_050_664,
    "deit_small_distilled_patch16": 22_436_432,
    "deit_base_patch16": 86_567_656,
    "deit_base_distilled_patch16": 87_338_192,
}
# The gate's small networks: image shape, then arguments.
TINY = {
    "deit_tiny_patch16": dict(image_shape=(9, 8, 3), dim=8, depth=2, num_heads=2, patch_size=4),
    "deit_tiny_distilled_patch16": dict(image_shape=(8, 8, 3), dim=8, depth=4, num_heads=2, patch_size=4),
}
