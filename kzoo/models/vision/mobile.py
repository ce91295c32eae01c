"""What networks of inverted residuals share: widths in eights, blocks by resolution, a convolution with its norm.

Shapes: b batch, h height, w width, c channels, f filters, s strides.
"""

from keras import layers

from kzoo.models.vision.parts import conv, depthwise


def divisible(width, divisor=8, limit=0.9):
    """The multiple of 8 nearest to a width, at least 8, and not below `limit` times the width."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < limit * width else rounded


def stages(blocks, stem="large"):
    """A list of blocks' arguments cut into stages of one resolution each: a block with strides begins one.

    A small stem keeps the image's size, and so does the first block that would halve it: 32 pixels end as 4, not 1.
    """
    groups = []
    for block in blocks:
        if not groups or block["strides"] > 1:
            groups.append([])
        groups[-1].append(dict(block))
    if stem == "small":
        strided = (group[0] for group in groups if group[0]["strides"] > 1)
        next(strided, {})["strides"] = 1
    return groups


def smallest(groups, stem="large"):
    """The smallest image that leaves one pixel after `stages`."""
    size = 2 if stem == "large" else 1
    for group in groups:
        size *= group[0]["strides"]
    return size


def conv_norm(x, filters, kernel_size=1, strides=1, *, norm, name, activation=None, padding="symmetric"):
    """Convolution, normalisation, activation: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    x = conv(x, filters, kernel_size, strides, padding=padding, name=f"{name}_conv")
    return _activated(norm(name=f"{name}_norm")(x), activation, name)


def depthwise_norm(x, kernel_size, strides=1, *, norm, name, activation=None, padding="symmetric"):
    """Convolution of each channel by itself, normalisation, activation: `(b, h, w, c)` to `(b, h / s, w / s, c)`."""
    x = depthwise(x, kernel_size, strides, padding=padding, name=f"{name}_conv")
    return _activated(norm(name=f"{name}_norm")(x), activation, name)


def squeeze_excite(x, hidden, *, name, activation="relu", gate="sigmoid"):
    """Channels weighed by what the whole image shows: `kzoo.layers.SqueezeExcite` of layers that need no kzoo.

    Hu et al. (2018), arXiv:1709.01507. The networks of this kind count hidden units each in their own way.
    """
    c = x.shape[-1]
    gates = layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)  # (b, c)
    gates = layers.Dense(hidden, activation, name=f"{name}_squeeze")(gates)
    gates = layers.Dense(c, gate, name=f"{name}_excite")(gates)
    gates = layers.Reshape((1, 1, c), name=f"{name}_reshape")(gates)
    return layers.Multiply(name=f"{name}_multiply")([x, gates])


def _activated(x, activation, name):
    return layers.Activation(activation, name=f"{name}_act")(x) if activation else x
