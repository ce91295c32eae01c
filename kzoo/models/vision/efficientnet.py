"""EfficientNet: depth, width and image size grow together, from a small network found by a search.

Tan and Le (2019), EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv:1905.11946.

Shapes: b batch, h height, w width, c channels, f filters, s strides, t expansion.
"""

import functools
import math

import keras
from keras import layers

from kzoo.models.vision.mobile import conv_norm, depthwise_norm, divisible, smallest, squeeze_excite, stages
from kzoo.models.vision.parts import NORM, check_stem, drop_path_rates, head, image_input, residual

ROWS = (  # Table 1: expansion, kernel size, filters, depth, strides of the first block
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
TENSORFLOW_NORM = functools.partial(NORM, epsilon=1e-3, momentum=0.99)
SIZES = {  # The authors' width, depth and dropout; the largest three were published with TensorFlow's epsilon
    "efficientnet_b0": dict(width=1.0, depth=1.0, dropout=0.2),
    "efficientnet_b1": dict(width=1.0, depth=1.1, dropout=0.2),
    "efficientnet_b2": dict(width=1.1, depth=1.2, dropout=0.3),
    "efficientnet_b3": dict(width=1.2, depth=1.4, dropout=0.3),
    "efficientnet_b4": dict(width=1.4, depth=1.8, dropout=0.4),
    "efficientnet_b5": dict(width=1.6, depth=2.2, dropout=0.4, norm=TENSORFLOW_NORM),
    "efficientnet_b6": dict(width=1.8, depth=2.6, dropout=0.5, norm=TENSORFLOW_NORM),
    "efficientnet_b7": dict(width=2.0, depth=3.1, dropout=0.5, norm=TENSORFLOW_NORM),
}

IMAGE_SHAPE = {
    f"efficientnet_b{i}": (size, size, 3) for i, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
}


def mbconv(x, filters, strides, *, expansion, kernel_size, norm, padding, rate, name):
    """1x1 to t times the channels, a kernel for each, weights for each, 1x1: `(b, h, w, c)` to `(b, h / s, w / s, f)`.

    The weights' hidden units are a quarter of the block's input, not of the expanded channels.
    """
    c, y = x.shape[-1], x
    if expansion != 1:
        y = conv_norm(y, c * expansion, norm=norm, activation="silu", name=f"{name}_expand")
    y = depthwise_norm(
        *(y, kernel_size, strides),
        norm=norm,
        activation="silu",
        padding=padding,
        name=f"{name}_depthwise",
    )
    y = squeeze_excite(y, max(1, c // 4), activation="silu", name=f"{name}_se")
    y = conv_norm(y, filters, norm=norm, name=f"{name}_project")
    return residual(x, y, rate, name=name) if strides == 1 and c == filters else y


def efficientnet(
    image_shape,
    num_classes,
    *,
    rows=ROWS,
    width=1.0,
    depth=1.0,
    stem="large",
    norm=NORM,
    padding="symmetric",
    dropout=0.2,
    drop_path_rate=0.0,
    name="efficientnet",
):
    """EfficientNet: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        rows: of table 1: expansion, kernel size, filters, depth, strides.
        width: what all filters are multiplied with.
        depth: what each row's depth is multiplied with, rounded up.
        stem: `"large"`, a convolution of stride 2, or `"small"`, for images of 28 or 32 pixels: neither it nor
            the first block that would halves them.
        norm: makes a normalisation layer.
        padding: of strided convolutions: `"symmetric"` as PyTorch, or `"same"` as TensorFlow.
        dropout: rate before the head.
        drop_path_rate: of the last block's branch; the first one's is 0, and it grows linearly. 0.2 in the paper.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    blocks = [
        dict(expansion=t, kernel_size=k, filters=divisible(f * width), strides=s if n == 0 else 1)
        for t, k, f, d, s in rows
        for n in range(math.ceil(d * depth))
    ]
    groups = stages(blocks, stem)
    options = dict(norm=norm, padding=padding)
    inputs = image_input(image_shape, smallest(groups, stem), name)
    x = conv_norm(inputs, divisible(32 * width), 3, 2 if stem == "large" else 1, name="stem", **options)
    x = layers.Activation("silu", name="stem")(x)
    rates = iter(drop_path_rates(drop_path_rate, len(blocks)))
    for i, group in enumerate(groups, 1):
        for j, block in enumerate(group, 1):
            x = mbconv(x, **block, rate=next(rates), name=f"stage_{i}_block_{j}", **options)
        x = layers.Identity(name=f"stage_{i}")(x)
    x = conv_norm(x, divisible(1280 * width), norm=norm, activation="silu", name="top")
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
