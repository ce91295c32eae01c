"""Vision transformer: an image as a sequence of patches, read by a transformer's encoder.

Dosovitskiy et al. (2021), An Image is Worth 16x16 Words, arXiv:2010.11929. The smaller sizes and the hybrids with
larger patches: Steiner et al. (2021), How to Train Your ViT?, arXiv:2106.10270.

Shapes: b batch, h height, w width, c channels, p patch size, n tokens, d dim.
"""

import functools

import keras
from keras import layers

from kzoo.layers import ClassToken, DropPath, PatchEmbedding, PositionEmbedding, WeightStandardization
from kzoo.models.vision.parts import HE, drop_path_rates, image_input, logits


def patches(x, dim, patch_size):
    """Images or a stem's maps as tokens: `(b, h, w, c)` to `(b, (h // p) (w // p), d)`. The rest is cut off."""
    rest = [size % patch_size for size in x.shape[1:3]]
    if any(rest):
        x = layers.Cropping2D(tuple((0, size) for size in rest), name="patch_crop")(x)
    return PatchEmbedding(dim, patch_size, name="patch_embedding")(x)


def block(x, *, num_heads, mlp_ratio, epsilon, initializer, hidden_dropout, rate, name, output):
    """Attention, then two dense layers, each on normalised tokens and added to them: `(b, n, d)` to the same."""
    dim = x.shape[-1]
    y = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm_1")(x)
    y = layers.MultiHeadAttention(
        num_heads, dim // num_heads, kernel_initializer=initializer, name=f"{name}_attention"
    )(y, y)
    x = added(x, y, hidden_dropout, rate, f"{name}_attention", f"{name}_attention_add")
    y = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm_2")(x)
    y = mlp(y, mlp_ratio, initializer, hidden_dropout, name)
    return added(x, y, hidden_dropout, rate, f"{name}_mlp", output)


def mlp(x, mlp_ratio, initializer, hidden_dropout, name):
    """Each token by itself through a wider layer with GELU and back."""
    dim = x.shape[-1]
    x = layers.Dense(
        int(dim * mlp_ratio), activation="gelu", kernel_initializer=initializer, name=f"{name}_mlp_1"
    )(x)
    if hidden_dropout:
        x = layers.Dropout(hidden_dropout, name=f"{name}_mlp_1_dropout")(x)
    return layers.Dense(dim, kernel_initializer=initializer, name=f"{name}_mlp_2")(x)


def added(x, branch, hidden_dropout, rate, name, output):
    """`x + branch` in a layer called `output`; units of the branch drop out, or examples' whole branches."""
    if hidden_dropout:
        branch = layers.Dropout(hidden_dropout, name=f"{name}_dropout")(branch)
    if rate:
        branch = DropPath(rate, name=f"{name}_drop_path")(branch)
    return layers.Add(name=output)([x, branch])


def encoder(x, *, depth, drop_path_rate, **options):
    """All blocks, numbered through, in four stages of a quarter each: `(b, n, d)` to the same."""
    stages = min(4, depth)
    for j, rate in enumerate(drop_path_rates(drop_path_rate, depth), 1):
        stage = -(-j * stages // depth)
        last = j == depth or -(-(j + 1) * stages // depth) > stage
        name = f"stage_{stage}_block_{j}"
        x = block(x, rate=rate, name=name, output=f"stage_{stage}" if last else f"{name}_mlp_add", **options)
    return x


def token(x, i, name):
    """One of the tokens: `(b, n, d)` to `(b, d)`."""
    x = layers.Cropping1D((i, x.shape[1] - i - 1), name=f"{name}_token")(x)
    return layers.Flatten(name=name)(x)


def resnet_stem(x, *, depths=(3, 4, 9), filters=64, groups=32):
    """The first stages of a residual network with standardised weights, of which ViT's patches are single places.

    The paper's hybrid (appendix B.1): `(b, h, w, c)` to `(b, h / s, w / s, 16 filters)` with s 16 for three stages
    of doubling width, the first of `4 filters`.
    """
    x = _standardized(x, filters, 7, 2, "stem_conv")
    x = layers.ReLU(name="stem_relu")(_group_norm(groups, "stem_norm")(x))
    x = layers.MaxPooling2D(3, 2, "same", name="stem_pool")(x)
    for i, depth in enumerate(depths, 1):
        width = filters * 2 ** (i - 1)
        for j in range(1, depth + 1):
            name, strides = f"stem_stage_{i}_block_{j}", 2 if i > 1 and j == 1 else 1
            y = x
            for k, (f, kernel_size, s) in enumerate(
                [(width, 1, 1), (width, 3, strides), (4 * width, 1, 1)], 1
            ):
                y = _group_norm(groups, f"{name}_norm_{k}")(
                    _standardized(y, f, kernel_size, s, f"{name}_conv_{k}")
                )
                y = layers.ReLU(name=f"{name}_relu_{k}")(y) if k < 3 else y
            if j == 1:
                x = _standardized(x, 4 * width, 1, strides, f"{name}_shortcut_conv")
                x = _group_norm(groups, f"{name}_shortcut_norm")(x)
            x = layers.Add(name=f"{name}_add")([x, y])
            x = layers.ReLU(name="stem" if (i, j) == (len(depths), depth) else name)(x)
    return x


def _standardized(x, filters, kernel_size, strides, name):
    conv = layers.Conv2D(
        filters, kernel_size, strides, "same", use_bias=False, kernel_initializer=HE, name="conv"
    )
    return WeightStandardization(conv, epsilon=1e-8, name=name)(x)


def _group_norm(groups, name):
    return layers.GroupNormalization(groups, epsilon=1e-5, name=name)


TINY = dict(dim=192, depth=12, num_heads=3)
SMALL = dict(dim=384, depth=12, num_heads=6)
BASE = dict(dim=768, depth=12, num_heads=12)
LARGE = dict(dim=1024, depth=24, num_heads=16)
HUGE = dict(dim=1280, depth=32, num_heads=16)
R50 = dict(stem=resnet_stem, patch_size=1)
R26 = dict(stem=functools.partial(resnet_stem, depths=(2, 2, 2, 2)), patch_size=1)
R50_32 = dict(stem=functools.partial(resnet_stem, depths=(3, 4, 6, 3)), patch_size=1)
SMALL_IMAGES = dict(patch_size=4)
SIZES = {
    # Table 1 of the paper; Ti and S: Steiner et al., table 2; patches of 8 and 14 where weights were published
    **{f"vit_tiny_patch{p}": dict(**TINY, patch_size=p) for p in (16,)},
    **{f"vit_small_patch{p}": dict(**SMALL, patch_size=p) for p in (8, 16, 32)},
    **{f"vit_base_patch{p}": dict(**BASE, patch_size=p) for p in (8, 16, 32)},
    **{f"vit_large_patch{p}": dict(**LARGE, patch_size=p) for p in (14, 16, 32)},
    **{f"vit_huge_patch{p}": dict(**HUGE, patch_size=p) for p in (14,)},
    # Hybrids: R50+ViT-B/16 of the paper; R26+S/32 and R50+L/32 of Steiner et al.
    "vit_base_resnet50": dict(**BASE, **R50),
    "vit_small_resnet26": dict(**SMALL, **R26),
    "vit_large_resnet50": dict(**LARGE, **R50_32),
}


def vit(
    image_shape,
    num_classes,
    *,
    dim=768,
    depth=12,
    num_heads=12,
    patch_size=16,
    mlp_ratio=4,
    stem=None,
    positions=PositionEmbedding,
    pool="token",
    epsilon=1e-6,
    initializer="glorot_uniform",
    dropout=0.0,
    hidden_dropout=0.0,
    drop_path_rate=0.0,
    name="vit",
):
    """Vision transformer: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed, since positions are learned for it.
        num_classes: number of logits; 0 gives the class token, or the tokens' mean.
        dim: of a token.
        depth: number of blocks; `stage_1` to `stage_4` come after each quarter of them.
        num_heads: of the attention; it must divide `dim`.
        patch_size: side of a patch, in pixels or in places of the stem's maps. 4 suits images of 28 or 32 pixels.
        mlp_ratio: width of a block's hidden layer over `dim`.
        stem: a function of the images that gives the maps to cut up, such as `resnet_stem`; by default the images.
        positions: makes the layer that adds positions: learned, or `kzoo.layers.SinePositionEncoding`.
        pool: `"token"`: a class token, which is read at the end; `"mean"`: no such token, but the mean of all.
        epsilon: of the normalisations.
        initializer: of dense layers and attention.
        dropout: rate before the head.
        hidden_dropout: rate after the positions, each block's attention and dense layers; 0.1 in the paper's
            training on ImageNet alone.
        drop_path_rate: of the last block's branches; the first one's is 0, and it grows linearly.
        name: of the model.

    Raises:
        ValueError: if the image is smaller than a patch or its size is not fixed, heads do not divide `dim`, or the
            way of pooling is unknown.
    """
    if pool not in ("token", "mean"):
        raise ValueError(f"pool must be 'token' or 'mean'. Received: pool={pool!r}")
    inputs, x = tokens(image_shape, dim, num_heads, patch_size, stem, name)
    if pool == "token":
        x = ClassToken(name="class_token")(x)
    x = positions(name="position_embedding")(x)
    if hidden_dropout:
        x = layers.Dropout(hidden_dropout, name="position_dropout")(x)
    options = dict(num_heads=num_heads, mlp_ratio=mlp_ratio, epsilon=epsilon, initializer=initializer)
    x = encoder(x, depth=depth, drop_path_rate=drop_path_rate, hidden_dropout=hidden_dropout, **options)
    norm = layers.LayerNormalization(epsilon=epsilon, name="norm")
    x = norm(token(x, 0, "pool")) if pool == "token" else layers.GlobalAveragePooling1D(name="pool")(norm(x))
    return keras.Model(inputs, logits(x, num_classes, dropout, kernel_initializer=initializer), name=name)


def tokens(image_shape, dim, num_heads, patch_size, stem, name):
    """The input and its patches: `(b, h, w, c)` and `(b, n, d)`."""
    if dim % num_heads:
        raise ValueError(f"num_heads must divide dim. Received: dim={dim}, num_heads={num_heads}")
    inputs = image_input(image_shape, patch_size if stem is None else 32, name)
    if None in inputs.shape[1:]:
        raise ValueError(
            f"{name} needs a fixed image size, since each place has its position. "
            f"Received: image_shape={image_shape}"
        )
    return inputs, patches(inputs if stem is None else stem(inputs), dim, patch_size)
