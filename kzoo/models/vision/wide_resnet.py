"""Wide residual network: fewer blocks of more channels, normalised and activated before each convolution.

Zagoruyko and Komodakis (2016), Wide Residual Networks, arXiv:1605.07146. The paper's networks for images of 32 x 32;
those for larger ones are `wide_resnet50_2` and `wide_resnet101_2` in the family of `resnet`.

Shapes: b batch, h height, w width, c channels, f filters, s strides.
"""

import keras
from keras import layers

from kzoo.models.vision.parts import NORM, conv, drop_path_rates, head, image_input, residual

# Table 4: depth is 6 n + 4 layers, then how many times as wide
SIZES = {
    f"wide_resnet{depth}_{width}": dict(depth=depth, width=width)
    for depth, width in (
        *((40, 1), (40, 2), (40, 4), (40, 8)),
        *((28, 10), (28, 12), (22, 8), (22, 10), (16, 8), (16, 10)),
    )
}

IMAGE_SHAPE, NUM_CLASSES = (32, 32, 3), 10


def wide(x, filters, strides, *, norm, block_dropout, rate, name):
    """Two 3x3 convolutions, dropout between them: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    y = layers.ReLU(name=f"{name}_relu_1")(norm(name=f"{name}_norm_1")(x))
    if x.shape[-1] != filters:
        x = conv(y, filters, 1, strides, name=f"{name}_shortcut_conv")
    elif strides > 1:
        x = layers.MaxPooling2D(1, strides, name=f"{name}_shortcut_pool")(x)
    y = conv(y, filters, 3, strides, name=f"{name}_conv_1")
    y = layers.ReLU(name=f"{name}_relu_2")(norm(name=f"{name}_norm_2")(y))
    if block_dropout:
        y = layers.Dropout(block_dropout, name=f"{name}_dropout")(y)
    return residual(x, conv(y, filters, 3, name=f"{name}_conv_2"), rate, name=name)


def wide_resnet(
    image_shape,
    num_classes,
    *,
    depth=28,
    width=10,
    filters=(16, 32, 64),
    norm=NORM,
    dropout=0.0,
    block_dropout=0.0,
    drop_path_rate=0.0,
    name="wide_resnet",
):
    """Wide residual network: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        depth: layers with weights, 6 n + 4 for n blocks in each of three stages.
        width: what the filters are multiplied with, but the stem's.
        filters: of each stage; the first number is also the stem's. Every stage but the first halves the image.
        norm: makes a normalisation layer.
        dropout: rate before the head.
        block_dropout: rate between a block's convolutions; 0.3 in the paper where it has any.
        drop_path_rate: of the last block's branch; the first one's is 0, and it grows linearly.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or there is no such depth.
    """
    stages = len(filters)
    count, rest = divmod(depth - 4, 2 * stages)
    if count < 1 or rest:
        raise ValueError(f"depth must be 4 more than a multiple of {2 * stages}. Received: depth={depth}")
    inputs = image_input(image_shape, 2 ** (stages - 1), name)
    x = conv(inputs, filters[0], 3, name="stem")
    rates = iter(drop_path_rates(drop_path_rate, stages * count))
    options = dict(norm=norm, block_dropout=block_dropout)
    for i, f in enumerate(filters, 1):
        for j in range(1, count + 1):
            strides = 2 if i > 1 and j == 1 else 1
            x = wide(x, width * f, strides, rate=next(rates), name=f"stage_{i}_block_{j}", **options)
        x = layers.Identity(name=f"stage_{i}")(x)
    x = layers.ReLU(name="top_relu")(norm(name="top_norm")(x))
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
