"""The head of the first large networks: maps of one size laid flat, wide dense layers, logits.

Shapes: b batch, h height, w width, c channels, d hidden.
"""

import numpy as np
from keras import layers, ops

from kzoo.models.vision.parts import initializer, logits

# He et al. (2015) for layers with ReLU, counting inputs.
INITIALIZER = initializer("VarianceScaling", scale=2.0, mode="fan_in", distribution="untruncated_normal")


def resized(x, size):
    """Means over `size` windows as equal as they can be: `(b, h, w, c)` to `(b, *size, c)`.

    What PyTorch calls adaptive average pooling; where the maps are smaller, values repeat. Not Keras's own layer, whose
    windows are wrong for some sizes on JAX (Keras 3.15).

    Raises:
        ValueError: if the maps' size is free.
    """
    before = tuple(x.shape[1:3])
    if None in before:
        raise ValueError(f"this network's dense layers need a fixed image size. Received: maps of {before}")
    if before == tuple(size):
        return x
    dtype = "float64" if x.dtype == "float64" else "float32"  # PyTorch multiplies equal types only
    rows, columns = (_windows(n, m, dtype) for n, m in zip(before, size))
    return ops.einsum("bhwc,ih,jw->bijc", x if x.dtype == dtype else ops.cast(x, dtype), rows, columns)


def _windows(before, after, dtype):
    means = np.zeros((after, before), dtype)
    for i in range(after):
        start, stop = i * before // after, -(-(i + 1) * before // after)
        means[i, start:stop] = 1 / (stop - start)
    return means


def dense_head(x, num_classes, hidden_dims, dropout, *, dropout_first=False):
    """Dense layers with ReLU and dropout, and the logits: `(b, h, w, c)` to `(b, num_classes)`.

    Args:
        x: maps of a fixed size.
        num_classes: 0 gives the last hidden layer.
        hidden_dims: width of each hidden layer.
        dropout: rate, after each hidden layer or, with `dropout_first`, before it.
        dropout_first: where dropout is.
    """
    x = layers.Flatten(name="flatten")(x)
    for i, dim in enumerate(hidden_dims, 1):
        if dropout and dropout_first:
            x = layers.Dropout(dropout, name=f"hidden_{i}_dropout")(x)
        x = layers.Dense(dim, kernel_initializer=INITIALIZER, name=f"hidden_{i}")(x)
        x = layers.ReLU(name=f"hidden_{i}_relu")(x)
        if dropout and not dropout_first and i < len(hidden_dims):
            x = layers.Dropout(dropout, name=f"hidden_{i}_dropout")(x)
    return logits(x, num_classes, 0.0 if dropout_first else dropout)
