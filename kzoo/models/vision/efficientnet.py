"""EfficientNet: depth, width and image size grow together, from a small network found by a search.

Tan and Le (2019), EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv:1905.11946.

Shapes: b batch, h height, w width, c channels, f filters, s strides, t expansion.
"""

import functools
import math

import keras

from kzoo.models.vision.mobile import body, conv_norm, divisible, inverted_residual, squeeze_excite
from kzoo.models.vision.parts import NORM, drop_path_rates, head

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


def mbconv(x, filters, strides, *, expansion, **options):
    """1x1 to t times the channels, a kernel for each, weights for each, 1x1: `(b, h, w, c)` to `(b, h / s, w / s, f)`.

    The weights' hidden units are a quarter of the block's input, not of the expanded channels.
    """
    c = x.shape[-1]
    excite = functools.partial(squeeze_excite, hidden=max(1, c // 4), activation="silu")
    options = dict(activation="silu", excite=excite, **options)
    return inverted_residual(x, filters, strides, expanded=0 if expansion == 1 else c * expansion, **options)


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
    blocks = [
        dict(expansion=t, kernel_size=k, filters=divisible(f * width), strides=s if n == 0 else 1)
        for t, k, f, d, s in rows
        for n in range(math.ceil(d * depth))
    ]
    for block, rate in zip(blocks, drop_path_rates(drop_path_rate, len(blocks))):
        block["rate"] = rate
    common = dict(activation="silu", stem=stem, norm=norm, padding=padding, name=name)
    inputs, x = body(image_shape, blocks, mbconv, filters=divisible(32 * width), **common)
    x = conv_norm(x, divisible(1280 * width), norm=norm, activation="silu", name="top")
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
