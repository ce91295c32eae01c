"""Data-efficient image transformer: a vision transformer that also learns from a teacher, through a token of its own.

Touvron et al. (2021), Training data-efficient image transformers & distillation through attention, arXiv:2012.12877.

Shapes: b batch, h height, w width, c channels, n tokens, d dim.
"""

import keras
from keras import layers

from kzoo.layers import ClassToken, PositionEmbedding
from kzoo.models.vision.parts import initializer, logits
from kzoo.models.vision.vit import encoder, token, tokens

TRUNCATED = initializer("TruncatedNormal", stddev=0.02)
WIDTHS = {  # Table 1 of the paper
    "tiny": dict(dim=192, num_heads=3),
    "small": dict(dim=384, num_heads=6),
    "base": dict(dim=768, num_heads=12),
}
SMALL_IMAGES = dict(patch_size=4)
SIZES = {f"deit_{size}_patch16": dict(**width, distilled=False) for size, width in WIDTHS.items()} | {
    f"deit_{size}_distilled_patch16": dict(**width, distilled=True) for size, width in WIDTHS.items()
}


def deit(
    image_shape,
    num_classes,
    *,
    dim=192,
    depth=12,
    num_heads=3,
    patch_size=16,
    mlp_ratio=4,
    distilled=False,
    average=True,
    positions=PositionEmbedding,
    epsilon=1e-6,
    initializer=TRUNCATED,
    dropout=0.0,
    hidden_dropout=0.0,
    drop_path_rate=0.0,
    name="deit",
):
    """Data-efficient image transformer: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed, since positions are learned for it.
        num_classes: number of logits; 0 gives the class token, or the mean of both tokens.
        dim: of a token.
        depth: number of blocks; `stage_1` to `stage_4` come after each quarter of them.
        num_heads: of the attention; it must divide `dim`.
        patch_size: side of a patch in pixels; what is left over of the image is cut off.
        mlp_ratio: width of a block's hidden layer over `dim`.
        distilled: whether a second token is read by a second head, which learns the teacher's answers.
        average: whether a distilled network gives the mean of both heads' logits, as for inference; else, to be
            trained with a teacher, a dictionary of both: `"class"` and `"distillation"`. The weights are the same.
        positions: makes the layer that adds positions.
        epsilon: of the normalisations.
        initializer: of dense layers and attention.
        dropout: rate before the heads.
        hidden_dropout: rate after the positions, each block's attention and dense layers.
        drop_path_rate: of the last block's branches; the first one's is 0, and it grows linearly. 0.1 in the paper.
        name: of the model.

    Raises:
        ValueError: if the image is smaller than a patch or its size is not fixed, or heads do not divide `dim`.
    """
    inputs, x = tokens(image_shape, dim, num_heads, patch_size, None, name)
    if distilled:
        x = ClassToken(name="distillation_token")(x)
    x = ClassToken(name="class_token")(x)
    x = positions(name="position_embedding")(x)
    if hidden_dropout:
        x = layers.Dropout(hidden_dropout, name="position_dropout")(x)
    options = dict(num_heads=num_heads, mlp_ratio=mlp_ratio, epsilon=epsilon, initializer=initializer)
    x = encoder(x, depth=depth, drop_path_rate=drop_path_rate, hidden_dropout=hidden_dropout, **options)
    norm = layers.LayerNormalization(epsilon=epsilon, name="norm")
    first = norm(token(x, 0, "pool"))
    outputs = logits(first, num_classes, dropout, kernel_initializer=initializer)
    if distilled:
        second = norm(token(x, 1, "pool_distillation"))
        second = logits(second, num_classes, dropout, "head_distillation", kernel_initializer=initializer)
        both = [outputs, second]
        outputs = (
            layers.Average(name="average")(both)
            if average
            else dict(zip(("class", "distillation"), both, strict=True))
        )
    return keras.Model(inputs, outputs, name=name)
