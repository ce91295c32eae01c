"""Multi-layer perceptron: the baseline that sees an image as a list of numbers.

Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors; with dropout after
Srivastava et al. (2014).

Shapes: b batch, h height, w width, c channels, d hidden.
"""

import keras
from keras import layers

IMAGE_SHAPE = None  # it serves any data set
SIZES = {
    "mlp": dict(hidden_dims=(512, 512)),
    "mlp_small": dict(hidden_dims=(128,)),
}


def mlp(image_shape, num_classes, *, hidden_dims=(512, 512), activation="relu", dropout=0.2, name="mlp"):
    """Fully connected network: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed.
        num_classes: number of logits; 0 gives the last hidden layer.
        hidden_dims: width of each hidden layer.
        activation: of the hidden layers.
        dropout: rate after each hidden layer.
        name: of the model.
    """
    if None in tuple(image_shape):
        raise ValueError(f"an MLP needs a fixed image size. Received: image_shape={image_shape}")
    inputs = keras.Input(image_shape, name="image")
    x = layers.Flatten(name="stem")(inputs)  # (b, h * w * c)
    for i, hidden_dim in enumerate(hidden_dims, 1):
        x = layers.Dense(hidden_dim, activation=activation, name=f"block_{i}")(x)  # (b, d)
        if dropout:
            x = layers.Dropout(dropout, name=f"block_{i}_dropout")(x)
    if num_classes:
        x = layers.Dense(num_classes, name="head")(x)
    return keras.Model(inputs, x, name=name)
