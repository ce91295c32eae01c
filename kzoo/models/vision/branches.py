"""Modules of parallel branches, as in Inception networks, written as tables like those of the papers.

A module is a tuple of branches, a branch a tuple of steps. A step is a convolution `(filters, kernel_size, strides,
padding)`, of which strides and padding may be left out; a pooling `("max" or "average", size, strides)`; a function of
the maps; or, as a branch's last, a fork: a list of branches. Every convolution is followed by normalisation and ReLU.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import functools

from keras import layers

from kzoo.models.vision.parts import conv, pad

# The epsilon of most published Inception networks.
NORM = functools.partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-3)


def stage(x, modules, *, name, **options):
    """Modules one after the other: `(b, h, w, c)` to `(b, h', w', f)`. The last one's last layer has the stage's name.

    Args:
        x: maps.
        modules: tables.
        name: of the stage; layers are named `stage_1_block_2_branch_3_conv_4`, counting a branch's steps.
        **options: as of `module`.
    """
    for j, branches in enumerate(modules, 1):
        end = name if j == len(modules) else f"{name}_block_{j}"
        x = module(x, branches, name=f"{name}_block_{j}", end=end, **options)
    return x


def module(x, branches, *, name, end, **options):
    """Branches side by side, joined along the channels: `(b, h, w, c)` to `(b, h', w', f)`.

    Args:
        x: maps.
        branches: the table.
        name: that the names of all layers but the last begin with.
        end: name of the last layer.
        norm: makes a normalisation layer; `None` for none, and biases.
        width: all filters are multiplied by this.
        strided: padding of strided convolutions: as in `parts.pad`.
        pooled: padding of strided max poolings: as in `parts.pad`, or `"ceil"`, as in Caffe, one row and column of
            zeros at the end.
        averaged: padding of average poolings: `"symmetric"` counts the zeros around the image, `"same"` does not.
    """
    if len(branches) == 1:
        (x,) = _steps(x, branches[0], name=name, end=end, **options)
        return x
    outputs = []
    for i, steps in enumerate(branches, 1):
        outputs += _steps(x, steps, name=f"{name}_branch_{i}", **options)
    return layers.Concatenate(name=end)(outputs)


def _steps(x, steps, *, name, end=None, first=1, **options):
    """What a branch gives: one tensor, or several if it forks."""
    for k, step in enumerate(steps, first):
        last = end if k == first + len(steps) - 1 else None
        if callable(step):
            x = step(x)
        elif isinstance(step, list):
            return [
                output
                for i, fork in enumerate(step, 1)
                for output in _steps(x, fork, name=f"{name}_fork_{i}", first=k, **options)
            ]
        elif isinstance(step[0], str):
            x = _pool(x, *step, name=last or f"{name}_pool_{k}", **options)
        else:
            x = unit(x, *step, name=name, number=k, end=last, **options)
    return [x]


def unit(
    x,
    filters,
    kernel_size=1,
    strides=1,
    padding=None,
    *,
    name,
    number=1,
    end=None,
    norm=NORM,
    width=1.0,
    strided="valid",
    activation=True,
    **options,
):
    """Convolution, normalisation and ReLU: `(b, h, w, c)` to `(b, h / strides, w / strides, f)`."""
    padding = padding or ("same" if strides == 1 else strided)
    x = conv(
        *(x, max(1, round(filters * width)), kernel_size, strides),
        padding=padding,
        use_bias=norm is None,
        name=f"{name}_conv_{number}",
    )
    if norm is not None:
        x = norm(name=f"{name}_norm_{number}")(x)
    return layers.ReLU(name=end or f"{name}_relu_{number}")(x) if activation else x


def _pool(x, kind, size, strides, *, name, pooled="valid", averaged="same", **options):
    if kind == "average":
        x, padding = pad(x, size, averaged, f"{name}_pad")
        return layers.AveragePooling2D(size, strides, padding, name=name)(x)
    if strides == 1:
        return layers.MaxPooling2D(size, strides, "same", name=name)(x)
    if pooled == "ceil":
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
        pooled = "valid"
    x, padding = pad(x, size, pooled, f"{name}_pad")
    return layers.MaxPooling2D(size, strides, padding, name=name)(x)


def names(modules, name):
    """The names of a stage's convolutions in order, with `conv` and the number apart: `("stage_1_block_2", 1)`."""
    for j, branches in enumerate(modules, 1):
        for i, steps in enumerate(branches, 1):
            prefix = f"{name}_block_{j}"
            yield from _names(steps, f"{prefix}_branch_{i}" if len(branches) > 1 else prefix, 1)


def _names(steps, prefix, first):
    for k, step in enumerate(steps, first):
        if isinstance(step, list):
            for i, fork in enumerate(step, 1):
                yield from _names(fork, f"{prefix}_fork_{i}", k)
        elif not callable(step) and not isinstance(step[0], str):
            yield prefix, k
