"""What networks of inverted residuals share: widths in eights, blocks by resolution, a convolution with its norm.

Shapes: b batch, h height, w width, c channels, f filters, s strides.
"""

from keras import layers

from kzoo.models.vision.parts import check_stem, conv, depthwise, image_input, residual


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


def body(image_shape, blocks, make, *, filters, activation, stem, norm, padding, name):
    """The stem's convolution and the blocks, named by stage.

    Args:
        image_shape: `(h, w, c)`.
        blocks: their arguments beside `norm`, `padding` and `name`, of which `strides` is one.
        make: makes a block.
        filters: of the stem.
        activation: of the stem.
        stem: `"large"` or `"small"`.
        norm, padding: of all.
        name: of the model.

    Returns:
        The input and the last map.
    """
    check_stem(stem)
    groups, options = stages(blocks, stem), dict(norm=norm, padding=padding)
    inputs = image_input(image_shape, smallest(groups, stem), name)
    x = conv_norm(inputs, filters, 3, 2 if stem == "large" else 1, name="stem", **options)
    x = layers.Activation(activation, name="stem")(x)
    for i, group in enumerate(groups, 1):
        for j, block in enumerate(group, 1):
            x = make(x, **block, **options, name=f"stage_{i}_block_{j}")
        x = layers.Identity(name=f"stage_{i}")(x)
    return inputs, x


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


def inverted_residual(
    x, filters, strides, *, expanded, kernel_size, activation, norm, padding, name, excite=None, rate=0.0
):
    """1x1 to more channels, a kernel for each, 1x1 without activation: `(b, h, w, c)` to `(b, h / s, w / s, f)`.

    Args:
        x: `(b, h, w, c)`.
        filters: f.
        strides: s.
        expanded: channels after the first 1x1; 0 leaves it out.
        kernel_size: of each channel's.
        activation: of the first two.
        norm, padding, name: of all.
        excite: weighs the channels before the last 1x1, given them and a name.
        rate: at which the branch is dropped.
    """
    c, y, options = x.shape[-1], x, dict(norm=norm, activation=activation)
    if expanded:
        y = conv_norm(y, expanded, name=f"{name}_expand", **options)
    y = depthwise_norm(y, kernel_size, strides, padding=padding, name=f"{name}_depthwise", **options)
    if excite:
        y = excite(y, name=f"{name}_se")
    y = conv_norm(y, filters, norm=norm, name=f"{name}_project")
    return residual(x, y, rate, name=name) if strides == 1 and c == filters else y


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
