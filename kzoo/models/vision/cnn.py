"""Convolutional network of few layers: the baseline of image classification.

After LeCun et al. (1998), Gradient-based learning applied to document recognition, with ReLU, batch normalisation
(Ioffe and Szegedy 2015, arXiv:1502.03167) and dropout. The variants differ from `cnn` in one thing each, so that
filter size, stride and pooling can be compared by cost.

Shapes: b batch, h height, w width, c channels, f filters, d hidden.
"""

import functools

import keras
from keras import layers

# A shorter memory than Keras's 0.99, so that the statistics are good after the few steps of a small data set.
NORM = functools.partial(layers.BatchNormalization, momentum=0.9)

IMAGE_SHAPE = None  # it serves any data set
SIZES = {
    "cnn": dict(filters=(32, 64)),
    "cnn_5x5": dict(filters=(32, 64), kernel_size=5),
    "cnn_strided": dict(filters=(32, 64), downsample="stride"),
    "cnn_average": dict(filters=(32, 64), downsample="average"),
    "cnn_small": dict(filters=(16, 32), hidden_dim=64),
}


def _block(x, filters, kernel_size, downsample, norm, name):
    """Convolution, normalisation, ReLU and halving of the image: `(b, h, w, c)` to `(b, h / 2, w / 2, f)`."""
    strides = 2 if downsample == "stride" else 1
    x = layers.Conv2D(
        filters, kernel_size, strides, padding="same", use_bias=norm is None, name=f"{name}_conv"
    )(x)
    if norm is not None:
        x = norm(name=f"{name}_norm")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    if downsample == "max":
        x = layers.MaxPooling2D(2, padding="same", name=f"{name}_pool")(x)
    elif downsample == "average":
        x = layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
    return x


def cnn(
    image_shape,
    num_classes,
    *,
    filters=(32, 64),
    kernel_size=3,
    downsample="max",
    norm=NORM,
    hidden_dim=128,
    dropout=0.5,
    name="cnn",
):
    """Convolution blocks and one hidden layer: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed.
        num_classes: number of logits; 0 gives the hidden layer.
        filters: of each block, which halves the image.
        kernel_size: of all convolutions.
        downsample: how a block halves the image: `"max"`, `"average"` or `"stride"`.
        norm: makes a normalisation layer; `None` for none.
        hidden_dim: width of the hidden layer.
        dropout: rate before the hidden layer and before the head.
        name: of the model.
    """
    if None in tuple(image_shape):
        raise ValueError(
            f"this CNN ends in a dense layer and needs a fixed image size. Received: {image_shape}"
        )
    if downsample not in ("max", "average", "stride"):
        raise ValueError(f"downsample must be 'max', 'average' or 'stride'. Received: {downsample!r}")
    x = inputs = keras.Input(image_shape, name="image")
    for i, f in enumerate(filters, 1):
        x = _block(x, f, kernel_size, downsample, norm, name=f"block_{i}")
    x = layers.Flatten(name="flatten")(x)
    if dropout:
        x = layers.Dropout(dropout, name="flatten_dropout")(x)
    x = layers.Dense(hidden_dim, activation="relu", name="hidden")(x)  # (b, d)
    if dropout and num_classes:
        x = layers.Dropout(dropout, name="hidden_dropout")(x)
    if num_classes:
        x = layers.Dense(num_classes, name="head")(x)
    return keras.Model(inputs, x, name=name)
