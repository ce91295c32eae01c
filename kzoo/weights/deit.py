"""DeiT elsewhere: a vision transformer with one more token and head."""

from dataclasses import replace

from kzoo.weights.vit import TIMM, same, transformers

SOURCES = {
    "timm": replace(
        TIMM,
        modules=(*TIMM.modules, ("head_distillation", "head_dist")),
        tensors=(*TIMM.tensors, ("distillation_token/token", "dist_token", same)),
    ),
    "transformers": transformers(
        "deit",
        head="cls_classifier",
        modules=(("head_distillation", "distillation_classifier"),),
        tensors=(("distillation_token/token", "deit.embeddings.distillation_token", same),),
        # Without a teacher it is published as a ViT.
        renamed=((r"^vit\.", "deit."), ("^classifier", "cls_classifier")),
    ),
}
