"""What generators of images share: maps that are halved on the way in and doubled on the way out, and classes.

Shapes: b batch, h height, w width, c channels, d dim of a code.
"""

import math

import keras
from keras import layers

LABELS = "labels"  # the name of the input for classes, of every model that takes some


def check_image(image_shape, halvings, name):
    """Raises if the image has no three fixed sizes, or cannot be halved so often; gives the shape as a tuple."""
    shape = tuple(image_shape)
    step = 2**halvings
    if len(shape) != 3 or None in shape or min(shape) < 1:
        raise ValueError(
            f"{name} needs a fixed image_shape=(height, width, channels). Received: image_shape={image_shape}"
        )
    if shape[0] % step or shape[1] % step:
        raise ValueError(
            f"{name} halves the image {halvings} times: height and width must be multiples of {step}, or give fewer "
            f"filters. Received: image_shape={image_shape}"
        )
    return shape


def labelled(image_input, num_classes):
    """The inputs of a model: the one tensor, or for classes a dictionary of it, under its name, and the labels."""
    if not num_classes:
        return image_input
    return {image_input.name: image_input, LABELS: keras.Input((), dtype="int32", name=LABELS)}


def joined(inputs, x, num_classes, label_dim):
    """`x`, `(b, d)`, beside its class's learned vector, `(b, d + label_dim)`; `x` itself without classes."""
    if not num_classes:
        return x
    # Smaller than noise is, which a louder class would drown: a GAN then draws one image of each class.
    normal = keras.initializers.RandomNormal(stddev=0.2)
    vector = layers.Embedding(num_classes, label_dim, normal, name="label_embedding")(inputs[LABELS])
    return layers.Concatenate(name="with_label")([x, vector])


def first(inputs):
    """The tensor that `labelled` was given."""
    return next(tensor for tensor in keras.tree.flatten(inputs) if tensor.name != LABELS)


def encoded(x, filters, hidden_dims, activation="relu"):
    """Images to vectors: convolutions with stride 2, then dense layers: `(b, h, w, c)` to `(b, d)`."""
    for i, count in enumerate(filters, 1):
        x = layers.Conv2D(count, 4, strides=2, padding="same", activation=activation, name=f"conv_{i}")(x)
    x = layers.Flatten(name="flat")(x)
    for i, width in enumerate(hidden_dims, 1):
        x = layers.Dense(width, activation=activation, name=f"dense_{i}")(x)
    return x


def painted(x, image_shape, filters, hidden_dims, activation="relu"):
    """The way back, with the same sizes in the opposite order: `(b, d)` to `(b, h, w, c)`, without activation."""
    for i, width in enumerate(reversed(hidden_dims), 1):
        x = layers.Dense(width, activation=activation, name=f"dense_{i}")(x)
    h, w, c = image_shape
    if not filters:
        x = layers.Dense(math.prod(image_shape), name="pixels")(x)
        return layers.Reshape(image_shape, name="logits")(x)
    step = 2 ** len(filters)
    maps = (h // step, w // step, filters[-1])
    x = layers.Dense(math.prod(maps), activation=activation, name="stem")(x)
    x = layers.Reshape(maps, name="maps")(x)
    for i, count in enumerate([*filters[-2::-1], c], 1):
        last = i == len(filters)
        # A kernel that the stride divides leaves no checkerboard, and every engine pads it alike.
        x = layers.Conv2DTranspose(
            count,
            4,
            strides=2,
            padding="same",
            activation=None if last else activation,
            name="logits" if last else f"conv_{i}",
        )(x)
    return x
