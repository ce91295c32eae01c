"""MobileNetV2: narrow maps are joined by shortcuts, each block widens them for a depthwise convolution in between.

Sandler et al. (2018), MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381.

Shapes: b batch, h height, w width, c channels, f filters, s strides, t expansion.
"""

import keras
from keras import layers

from kzoo.models.vision.mobile import conv_norm, depthwise_norm, divisible, smallest, stages
from kzoo.models.vision.parts import NORM, check_stem, head, image_input, residual

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


def inverted_residual(x, filters, strides, *, expansion, norm, padding, name):
    """1x1 to t times the channels, 3x3 of each, 1x1 without activation: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    c = x.shape[-1]
    y = x
    if expansion != 1:
        y = conv_norm(y, round(c * expansion), norm=norm, activation="relu6", name=f"{name}_expand")
    y = depthwise_norm(
        y, 3, strides, norm=norm, activation="relu6", padding=padding, name=f"{name}_depthwise"
    )
    y = conv_norm(y, filters, norm=norm, name=f"{name}_project")
    return residual(x, y, name=name) if strides == 1 and c == filters else y


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
    check_stem(stem)
    groups = stages(
        [
            dict(expansion=t, filters=divisible(f * width), strides=s if k == 0 else 1)
            for t, f, depth, s in rows
            for k in range(depth)
        ],
        stem,
    )
    inputs = image_input(image_shape, smallest(groups, stem), name)
    strides = 2 if stem == "large" else 1
    x = conv_norm(inputs, divisible(32 * width), 3, strides, norm=norm, padding=padding, name="stem")
    x = layers.Activation("relu6", name="stem")(x)
    for i, group in enumerate(groups, 1):
        for j, block in enumerate(group, 1):
            x = inverted_residual(x, **block, norm=norm, padding=padding, name=f"stage_{i}_block_{j}")
        x = layers.Identity(name=f"stage_{i}")(x)
    x = conv_norm(x, divisible(1280 * max(1.0, width)), norm=norm, activation="relu6", name="top")
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
