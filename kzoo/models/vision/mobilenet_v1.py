"""MobileNet: each convolution is one of each channel by itself, then one of all channels of a pixel.

Howard et al. (2017), MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications,
arXiv:1704.04861.

Shapes: b batch, h height, w width, c channels, f filters, s strides.
"""

import keras

from kzoo.models.vision.mobile import body, conv_norm, depthwise_norm
from kzoo.models.vision.parts import NORM, head

ROWS = (  # Table 1: filters, depth, strides of the first block
    (64, 1, 1),
    (128, 2, 2),
    (256, 2, 2),
    (512, 6, 2),
    (1024, 2, 2),
)
SIZES = {  # widths of table 6
    "mobilenet_v1": dict(width=1.0),
    "mobilenet_v1_025": dict(width=0.25),
    "mobilenet_v1_050": dict(width=0.5),
    "mobilenet_v1_075": dict(width=0.75),
}


def separable(x, filters, strides, *, norm, padding, name):
    """3x3 of each channel, then 1x1: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    options = dict(norm=norm, activation="relu6")
    x = depthwise_norm(x, 3, strides, padding=padding, name=f"{name}_depthwise", **options)
    return conv_norm(x, filters, name=f"{name}_project", **options)


def mobilenet_v1(
    image_shape,
    num_classes,
    *,
    rows=ROWS,
    width=1.0,
    stem="large",
    norm=NORM,
    padding="symmetric",
    dropout=0.001,
    name="mobilenet_v1",
):
    """MobileNet: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        rows: of table 1: filters, depth, strides.
        width: what all filters are multiplied with.
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
        dict(filters=int(f * width), strides=s if k == 0 else 1) for f, depth, s in rows for k in range(depth)
    ]
    common = dict(activation="relu6", stem=stem, norm=norm, padding=padding, name=name)
    inputs, x = body(image_shape, blocks, separable, filters=int(32 * width), **common)
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
