"""LeNet: the convolutional networks that read handwritten digits.

LeCun et al. (1998), Gradient-Based Learning Applied to Document Recognition, sections II and III.C. As they are built
today: every filter of the second convolution sees all channels, subsampling is a mean without weights of its own, and
the last layer gives logits instead of distances to drawn digits.

Shapes: b batch, h height, w width, c channels, f filters, d hidden.
"""

import keras
from keras import layers

from kzoo.models.vision.parts import image_input, logits

SIZES = {
    "lenet1": dict(filters=(4, 12), hidden_dims=(), minimum=28),
    "lenet4": dict(filters=(4, 16), hidden_dims=(120,)),
    "lenet5": dict(filters=(6, 16), hidden_dims=(120, 84)),  # figure 2
}
IMAGE_SHAPE, NUM_CLASSES = (28, 28, 1), 10


def lenet(
    image_shape,
    num_classes,
    *,
    filters=(6, 16),
    hidden_dims=(120, 84),
    activation="tanh",
    pool="average",
    minimum=32,
    dropout=0.0,
    name="lenet",
):
    """LeNet: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed.
        num_classes: number of logits; 0 gives the last hidden layer.
        filters: of the two 5x5 convolutions.
        hidden_dims: widths of the dense layers before the last.
        activation: after each layer but the last; the paper's is a scaled `"tanh"`.
        pool: how the image is halved: `"average"`, or `"max"` as is usual since.
        minimum: smaller images are surrounded with zeros up to this size, as the paper did with the digits' 28 pixels.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small or its size is free, or the pooling is unknown.
    """
    if pool not in ("average", "max"):
        raise ValueError(f"pool must be 'average' or 'max'. Received: pool={pool!r}")
    if None in tuple(image_shape)[:2]:
        raise ValueError(f"LeNet ends in dense layers and needs a fixed image size. Received: {image_shape}")
    x = inputs = image_input(image_shape, 1, name)
    missing = [max(0, minimum - size) for size in image_shape[:2]]
    if any(missing):
        x = layers.ZeroPadding2D([(m // 2, m - m // 2) for m in missing], name="stem_pad")(x)
    pooling = layers.AveragePooling2D if pool == "average" else layers.MaxPooling2D
    x = layers.Conv2D(filters[0], 5, activation=activation, name="stem_conv")(x)
    x = pooling(2, name="stem")(x)
    x = layers.Conv2D(filters[1], 5, activation=activation, name="stage_1_conv")(x)
    x = pooling(2, name="stage_1")(x)
    x = layers.Flatten(name="flatten")(x)
    for i, dim in enumerate(hidden_dims, 1):
        x = layers.Dense(dim, activation=activation, name=f"hidden_{i}")(x)
    return keras.Model(inputs, logits(x, num_classes, dropout), name=name)
