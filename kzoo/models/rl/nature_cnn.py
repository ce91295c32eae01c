"""The convolutions of the Nature DQN: four grey frames of an Atari game to 512 features.

Paper: Mnih et al. (2015), Human-level control through deep reinforcement learning, Nature 518, Methods.

Shapes: b images, h × w pixels, c frames.
"""

import math

import keras
from keras import layers

FILTERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # filters, kernel, stride: Methods, "Model architecture"
UNITS = 512
SMALLEST = 36  # pixels a side that the three convolutions need


def nature_cnn(image, units=UNITS, kernel_initializer=None, name="cnn"):
    """Features of `(b, h, w, c)` images with values from 0 to 255: `(b, units)`.

    Args:
        image: a Keras tensor; 84 × 84 × 4 in the paper.
        units: of the dense layer; 512 in the paper.
        kernel_initializer: of all layers; by default orthogonal with gain √2, which is not the paper's.
        name: what the layers' names begin with.

    Raises:
        ValueError: if the image is smaller than 36 × 36 pixels.
    """
    if len(image.shape) != 4 or min(image.shape[1:3]) < SMALLEST:
        raise ValueError(
            f"nature_cnn needs images of at least {SMALLEST} pixels. Received: {image.shape[1:]}"
        )
    if kernel_initializer is None:
        kernel_initializer = keras.initializers.Orthogonal(math.sqrt(2))
    options = dict(activation="relu", kernel_initializer=kernel_initializer)
    x = layers.Rescaling(1 / 255, name=f"{name}_rescaling")(image)
    for place, (filters, kernel, stride) in enumerate(FILTERS, 1):
        x = layers.Conv2D(filters, kernel, stride, name=f"{name}_{place}", **options)(x)
    x = layers.Flatten(name=f"{name}_flatten")(x)
    return layers.Dense(units, name=f"{name}_features", **options)(x)  # (b, units)
