"""Swin transformer: attention within windows, shifted in every other block, on maps that are halved stage by stage.

Liu et al. (2021), Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, arXiv:2103.14030.

Shapes: b batch, h height, w width, c channels, d dim.
"""

import keras
from keras import layers

from kzoo.layers import WindowAttention
from kzoo.models.vision.parts import drop_path_rates, head, image_input, initializer
from kzoo.models.vision.vit import added, mlp

TRUNCATED = initializer("TruncatedNormal", stddev=0.02)


def block(x, *, num_heads, window_size, shift_size, mlp_ratio, epsilon, initializer, rate, name, output):
    """Attention within windows, then two dense layers, each normalised and added: `(b, h, w, d)` to the same."""
    y = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm_1")(x)
    y = WindowAttention(
        num_heads, window_size, shift_size, kernel_initializer=initializer, name=f"{name}_attention"
    )(y)
    x = added(x, y, 0.0, rate, f"{name}_attention", f"{name}_attention_add")
    y = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm_2")(x)
    return added(x, mlp(y, mlp_ratio, initializer, 0.0, name), 0.0, rate, f"{name}_mlp", output)


def merge(x, *, epsilon, initializer, name):
    """Four neighbours become one place of twice the channels: `(b, h, w, d)` to `(b, ⌈h / 2⌉, ⌈w / 2⌉, 2 d)`."""
    _, h, w, d = x.shape
    if h % 2 or w % 2:
        x = layers.ZeroPadding2D(((0, h % 2), (0, w % 2)), name=f"{name}_pad")(x)
    h, w = -(-h // 2), -(-w // 2)
    x = layers.Reshape((h, 2, w, 2, d), name=f"{name}_neighbours")(x)
    x = layers.Permute((1, 3, 4, 2, 5), name=f"{name}_order")(
        x
    )  # published weights go down the columns first
    x = layers.Reshape((h, w, 4 * d), name=f"{name}_join")(x)
    x = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm")(x)
    return layers.Dense(2 * d, use_bias=False, kernel_initializer=initializer, name=f"{name}_dense")(x)


BASE = dict(dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
LARGE = dict(dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48))
SMALL_IMAGES = dict(patch_size=2, window_size=4)
SIZES = {  # Section 3.3 of the paper; windows of 12 are for images of 384 pixels (table 1)
    "swin_tiny": dict(dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
    "swin_small": dict(dim=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
    "swin_base": BASE,
    "swin_large": LARGE,
    "swin_base_window12": dict(**BASE, window_size=12),
    "swin_large_window12": dict(**LARGE, window_size=12),
}


def swin(
    image_shape,
    num_classes,
    *,
    dim=96,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    window_size=7,
    patch_size=4,
    mlp_ratio=4,
    epsilon=1e-5,
    initializer=TRUNCATED,
    dropout=0.0,
    drop_path_rate=0.0,
    name="swin",
):
    """Swin transformer: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed. What windows do not tile is padded; what makes no patch is cut off.
        num_classes: number of logits; 0 gives the pooled features.
        dim: channels of the first stage; each following one has twice as many on half the map.
        depths: blocks of each stage.
        num_heads: of the attention in each stage.
        window_size: side of a window, in places.
        patch_size: side of a patch in pixels. 2, with windows of 4, suits images of 28 or 32 pixels.
        mlp_ratio: width of a block's hidden layer over its channels.
        epsilon: of the normalisations.
        initializer: of dense layers and attention.
        dropout: rate before the head.
        drop_path_rate: of the last block's branches; the first one's is 0, and it grows linearly. The paper takes
            0.2 for T, 0.3 for S and 0.5 for B.
        name: of the model.

    Raises:
        ValueError: if the image is smaller than a patch or its size is not fixed, heads do not divide the channels, or
            `num_heads` has another length than `depths`.
    """
    if len(depths) != len(num_heads):
        raise ValueError(f"give num_heads for each stage. Received: depths={depths}, num_heads={num_heads}")
    inputs = image_input(image_shape, patch_size, name)
    if None in inputs.shape[1:]:
        raise ValueError(
            f"{name} needs a fixed image size for its windows. Received: image_shape={image_shape}"
        )
    options = dict(epsilon=epsilon, initializer=initializer)
    x = layers.Conv2D(dim, patch_size, patch_size, kernel_initializer=initializer, name="patch_embedding")(
        inputs
    )
    x = layers.LayerNormalization(epsilon=epsilon, name="stem")(x)
    rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
    for i, (depth, heads) in enumerate(zip(depths, num_heads), 1):
        if i > 1:
            x = merge(x, name=f"stage_{i}_merge", **options)
        for j in range(1, depth + 1):
            stage = f"stage_{i}_block_{j}"
            x = block(
                *(x,),
                num_heads=heads,
                window_size=window_size,
                shift_size=0 if j % 2 else window_size // 2,
                mlp_ratio=mlp_ratio,
                rate=next(rates),
                name=stage,
                output=f"stage_{i}" if j == depth else f"{stage}_mlp_add",
                **options,
            )
    x = layers.LayerNormalization(epsilon=epsilon, name="norm")(x)
    return keras.Model(inputs, head(x, num_classes, dropout, kernel_initializer=initializer), name=name)
