"""What many image networks share: convolutions padded as papers mean it, checks of the image, the classifier's head.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import functools

import keras
from keras import layers

# PyTorch's defaults, which most published weights were trained with: Keras's epsilon is 1e-3, its momentum 0.99.
NORM = functools.partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5)


def initializer(class_name, **config):
    """An initialiser of Keras as its configuration, for layers to make one of their own from.

    A shared initialiser would give all kernels of one shape the same numbers, and making one draws a seed.
    """
    return {
        "class_name": class_name,
        "config": config,
        "module": "keras.initializers",
        "registered_name": None,
    }


# He et al. (2015), arXiv:1502.01852, counting outputs: the initialisation of most networks with ReLU.
HE = initializer("VarianceScaling", scale=2.0, mode="fan_out", distribution="untruncated_normal")


def image_input(image_shape, minimum=1, model="the network"):
    """The model's input; raises if the image has no three sizes or is smaller than the network needs."""
    shape = tuple(image_shape)
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(
            f"image_shape must be (height, width, channels). Received: image_shape={image_shape}"
        )
    if any(size is not None and size < minimum for size in shape[:2]):
        raise ValueError(
            f"{model} needs images of at least {minimum} x {minimum}: use a smaller stem or larger images. "
            f"Received: image_shape={image_shape}"
        )
    return keras.Input(shape, name="image")


def check_stem(stem):
    """Raises if the stem is neither `"large"` nor `"small"`."""
    if stem not in ("large", "small"):
        raise ValueError(f"stem must be 'large' or 'small'. Received: stem={stem!r}")


def pad(x, kernel_size, padding, name):
    """The zeros that a convolution or pooling with `padding` needs around the image, and what is left to the layer.

    Args:
        x: maps.
        kernel_size: of the window.
        padding: `"same"` as Keras and TensorFlow pad, `"symmetric"` with half a window on each side as PyTorch does
            (the two differ where a stride meets an even size), or `"valid"`.
        name: of the padding layer, if one is needed.
    """
    if padding == "symmetric":
        sides = [size // 2 for size in _pair(kernel_size)]
        return (layers.ZeroPadding2D(sides, name=name)(x) if any(sides) else x), "valid"
    return x, padding


def conv(
    x,
    filters,
    kernel_size=1,
    strides=1,
    *,
    name,
    padding="symmetric",
    groups=1,
    dilation_rate=1,
    use_bias=False,
    initializer=HE,
):
    """A convolution: `(b, h, w, c)` to `(b, h / strides, w / strides, f)`. `padding` as in `pad`."""
    if padding == "symmetric" and strides == 1 and all(size % 2 for size in _pair(kernel_size)):
        padding = "same"  # no difference, and no layer of its own
    x, padding = pad(x, kernel_size, padding, f"{name}_pad")
    return layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding,
        groups=groups,
        dilation_rate=dilation_rate,
        use_bias=use_bias,
        kernel_initializer=initializer,
        name=name,
    )(x)


def depthwise(x, kernel_size=3, strides=1, *, name, padding="symmetric", use_bias=False):
    """A convolution of each channel by itself. `padding` as in `pad`."""
    if padding == "symmetric" and strides == 1 and all(size % 2 for size in _pair(kernel_size)):
        padding = "same"
    x, padding = pad(x, kernel_size, padding, f"{name}_pad")
    return layers.DepthwiseConv2D(
        kernel_size, strides, padding, use_bias=use_bias, depthwise_initializer=HE, name=name
    )(x)


def max_pool(x, pool_size=3, strides=2, *, name, padding="symmetric"):
    """Max pooling of maps that are not negative: zeros around them are then as good as nothing. As in `pad`."""
    x, padding = pad(x, pool_size, padding, f"{name}_pad")
    return layers.MaxPooling2D(pool_size, strides, padding, name=name)(x)


def head(x, num_classes, dropout=0.0, name="head", **kwargs):
    """Means over the image and, for `num_classes` above 0, the logits: `(b, h, w, c)` to `(b, num_classes)`."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return logits(x, num_classes, dropout, name, **kwargs)


def logits(x, num_classes, dropout=0.0, name="head", **kwargs):
    """Dropout and a dense layer: `(b, c)` to `(b, num_classes)`; for 0 classes x itself."""
    if not num_classes:
        return x
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return layers.Dense(num_classes, name=name, **kwargs)(x)


def drop_path_rates(rate, depth):
    """The rate of each of `depth` blocks, growing linearly from 0 to `rate` (Huang et al. 2016, arXiv:1603.09382)."""
    return [rate * i / max(1, depth - 1) for i in range(depth)]


def residual(x, branch, rate=0.0, *, name):
    """`x + branch`, the branch dropped example by example with probability `rate` in training."""
    if rate:
        from kzoo.layers import DropPath

        branch = DropPath(rate, name=f"{name}_drop_path")(branch)
    return layers.Add(name=f"{name}_add")([x, branch])


def _pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)
