"""MobileNetV2: narrow maps are joined by shortcuts, each block widens them for a depthwise convolution in between.

Sandler et al. (2018), MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381.

Shapes: b batch, h height, w width, c channels, f filters, s strides, t expansion.
"""

import keras

from kzoo.models.vision.mobile import body, conv_norm, divisible, inverted_residual
from kzoo.models.vision.parts import NORM, head

ROWS = (  # Table 2: expansion, filters, depth, strides of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
SIZES = {  # widths of table 4 and figure 5
    "mobilenet_v2": dict(width=1.0),
    "mobilenet_v2_035": dict(width=0.35),
    "mobilenet_v2_050": dict(width=0.5),
    "mobilenet_v2_075": dict(width=0.75),
    "mobilenet_v2_140": dict(width=1.4),
}


def bottleneck(x, filters, strides, *, expansion, **options):
    """1x1 to t times the channels, 3x3 of each, 1x1 without activation: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    expanded = 0 if expansion == 1 else round(x.shape[-1] * expansion)
    options = dict(kernel_size=3, activation="relu6", **options)
    return inverted_residual(x, filters, strides, expanded=expanded, **options)


def mobilenet_v2(
    image_shape,
    num_classes,
    *,
    rows=ROWS,
    width=1.0,
    stem="large",
    norm=NORM,
    padding="symmetric",
    dropout=0.2,
    name="mobilenet_v2",
):
    """MobileNetV2: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        rows: of table 2: expansion, filters, depth, strides.
        width: what all filters are multiplied with; the last convolution's only if it is above 1.
        stem: `"large"`, a convolution of stride 2, or `"small"`, for images of 28 or 32 pixels: neither it nor
            the first block that would halves them.
        norm: makes a normalisation layer.
        padding: of strided convolutions: `"symmetric"` as PyTorch, or `"same"` as TensorFlow.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    blocks = [
        dict(expansion=t, filters=divisible(f * width), strides=s if k == 0 else 1)
        for t, f, depth, s in rows
        for k in range(depth)
    ]
    common = dict(activation="relu6", stem=stem, norm=norm, padding=padding, name=name)
    inputs, x = body(image_shape, blocks, bottleneck, filters=divisible(32 * width), **common)
    x = conv_norm(x, divisible(1280 * max(1.0, width)), norm=norm, activation="relu6", name="top")
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
