"""Capsule network: the length of a class's vector says whether it is in the image, its direction how.

Sabour, Frosst and Hinton (2017), Dynamic Routing Between Capsules, arXiv:1710.09829. `kzoo.learners.CapsuleNetwork`
trains it.

Shapes: b batch, h height, w width, c channels, i primary capsules, j classes, e dim of a class's capsule.
"""

import math

import keras
from keras import layers

from kzoo.layers import CapsuleLength, CapsuleMask, Capsules, PrimaryCapsules
from kzoo.models.vision.parts import conv, image_input

SIZES = {
    "capsnet": dict(filters=256, primary_capsules=32, decoder=(512, 1024)),  # Section 4 of the paper
    "capsnet_small": dict(filters=64, primary_capsules=8, decoder=(128, 256)),  # ours, for training on a CPU
}
IMAGE_SHAPE, NUM_CLASSES = (28, 28, 1), 10


def capsnet(
    image_shape,
    num_classes,
    *,
    filters=256,
    kernel_size=9,
    primary_capsules=32,
    primary_dim=8,
    dim=16,
    routing=3,
    reconstruction=False,
    decoder=(512, 1024),
    dropout=0.0,
    name="capsnet",
):
    """Capsule network: `(b, h, w, c)` images to `(b, num_classes)` lengths between 0 and 1.

    Args:
        image_shape: `(h, w, c)`, fixed, since each place's capsules have weights of their own.
        num_classes: number of classes, each with a capsule; 0 gives the primary capsules, flattened.
        filters: of the convolution.
        kernel_size: of the convolution, and of the primary capsules', whose stride is 2.
        primary_capsules: capsules at each place.
        primary_dim: of these.
        dim: e, of a class's capsule.
        routing: iterations of the routing by agreement.
        reconstruction: whether to give a dictionary: the `"lengths"`, and the `"image"`, between 0 and 1, that a
            decoder makes of the longest capsule.
        decoder: widths of the decoder's hidden layers.
        dropout: rate at which primary capsules are dropped whole; the paper drops none.
        name: of the model.

    Raises:
        ValueError: if the image is too small for both convolutions or its size is not fixed, or an image is to be
            made without classes.
    """
    if reconstruction and not num_classes:
        raise ValueError(f"a reconstruction needs classes. Received: num_classes={num_classes}")
    inputs = image_input(image_shape, 2 * kernel_size - 1, name)
    if None in inputs.shape[1:]:
        raise ValueError(f"{name} needs a fixed image size. Received: image_shape={image_shape}")
    x = conv(inputs, filters, kernel_size, padding="valid", use_bias=True, name="stem_conv")
    x = layers.ReLU(name="stem")(x)
    x = PrimaryCapsules(primary_capsules, primary_dim, kernel_size, name="primary_capsules")(x)  # (b, i, 8)
    if not num_classes:
        return keras.Model(inputs, layers.Flatten(name="pool")(x), name=name)
    if dropout:
        x = layers.Dropout(dropout, noise_shape=(None, x.shape[1], 1), name="head_dropout")(x)
    capsules = Capsules(num_classes, dim, routing, name="head")(x)  # (b, j, e)
    lengths = CapsuleLength(name="lengths")(capsules)
    if not reconstruction:
        return keras.Model(inputs, lengths, name=name)
    hidden = [layers.Dense(width, activation="relu", name=f"dense_{k}") for k, width in enumerate(decoder, 1)]
    painter = keras.Sequential(
        [
            keras.Input((num_classes * dim,)),
            *hidden,
            layers.Dense(math.prod(image_shape), activation="sigmoid", name="pixels"),
            layers.Reshape(tuple(image_shape), name="image"),
        ],
        name="decoder",
    )
    image = painter(CapsuleMask(name="longest")([capsules, lengths]))
    return keras.Model(inputs, {"lengths": lengths, "image": image}, name=name)
