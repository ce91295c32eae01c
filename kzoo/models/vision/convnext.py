"""ConvNeXt: a residual network modernised step by step to what vision transformers do, without attention.

Liu et al. (2022), A ConvNet for the 2020s, arXiv:2201.03545.

Shapes: b batch, h height, w width, c channels, d dim.
"""

import functools

import keras
from keras import layers

from kzoo.layers import LayerScale
from kzoo.models.vision.parts import (
    check_stem,
    conv,
    drop_path_rates,
    image_input,
    initializer,
    logits,
    residual,
)

SIZES = {  # Section 3
    "convnext_tiny": dict(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768)),
    "convnext_small": dict(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768)),
    "convnext_base": dict(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024)),
    "convnext_large": dict(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536)),
    "convnext_xlarge": dict(depths=(3, 3, 27, 3), dims=(256, 512, 1024, 2048)),
}
NORM = functools.partial(layers.LayerNormalization, epsilon=1e-6)
INITIALIZER = initializer("TruncatedNormal", stddev=0.02)


def block(x, *, norm, layer_scale, rate, name):
    """7x7 of each channel, then two dense layers, the first four times as wide: `(b, h, w, d)` to the same."""
    d = x.shape[-1]
    y = layers.DepthwiseConv2D(
        7, padding="same", depthwise_initializer=INITIALIZER, name=f"{name}_depthwise"
    )(x)
    y = norm(name=f"{name}_norm")(y)
    y = layers.Dense(4 * d, "gelu", kernel_initializer=INITIALIZER, name=f"{name}_dense_1")(y)
    y = layers.Dense(d, kernel_initializer=INITIALIZER, name=f"{name}_dense_2")(y)
    if layer_scale:
        y = LayerScale(layer_scale, name=f"{name}_scale")(y)
    return residual(x, y, rate, name=name)


def convnext(
    image_shape,
    num_classes,
    *,
    depths=(3, 3, 9, 3),
    dims=(96, 192, 384, 768),
    stem="large",
    layer_scale=1e-6,
    norm=NORM,
    dropout=0.0,
    drop_path_rate=0.0,
    name="convnext",
):
    """ConvNeXt: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled and normalised features.
        depths: blocks of each stage; every stage but the first halves the image.
        dims: channels of each stage.
        stem: `"large"`, patches of 4x4, or `"small"`, a 3x3 convolution, for images of 28 or 32 pixels.
        layer_scale: what the scales of the branches begin with; 0 has none.
        norm: makes a normalisation layer.
        dropout: rate before the head.
        drop_path_rate: of the last block's branch; the first one's is 0, and it grows linearly. In the paper 0.1 for
            tiny, 0.4 for small and 0.5 for larger ones.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    side, padding = (4, "valid") if stem == "large" else (3, "same")
    strides = 4 if stem == "large" else 1
    inputs = image_input(image_shape, strides * 2 ** (len(depths) - 1), name)
    options = dict(use_bias=True, initializer=INITIALIZER)
    x = conv(inputs, dims[0], side, strides, padding=padding, name="stem_conv", **options)
    x = norm(name="stem")(x)
    rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
    for i, (d, depth) in enumerate(zip(dims, depths), 1):
        if i > 1:
            x = norm(name=f"stage_{i}_norm")(x)
            x = conv(x, d, 2, 2, padding="valid", name=f"stage_{i}_conv", **options)
        for j in range(1, depth + 1):
            where = f"stage_{i}_block_{j}"
            x = block(x, norm=norm, layer_scale=layer_scale, rate=next(rates), name=where)
        x = layers.Identity(name=f"stage_{i}")(x)
    x = norm(name="top_norm")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(inputs, logits(x, num_classes, dropout, kernel_initializer=INITIALIZER), name=name)
