"""Xception: Inception's idea taken to its end, each channel convolved by itself and then mixed.

Chollet (2017), Xception: Deep Learning with Depthwise Separable Convolutions, arXiv:1610.02357, figure 5.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import keras
from keras import layers, ops

from kzoo.models.vision.branches import NORM
from kzoo.models.vision.parts import check_stem, conv, depthwise, head, image_input

FILTERS = (32, 64, 128, 256, 728, 1024, 1536, 2048)
SIZES = {"xception": dict(depth=8)}
IMAGE_SHAPE = (299, 299, 3)


def _separable(x, filters, *, norm, name, number):
    """A convolution of each channel, one across channels, normalisation: `(b, h, w, c)` to `(b, h, w, f)`."""
    x = depthwise(x, 3, name=f"{name}_depthwise_{number}")
    x = conv(x, filters, name=f"{name}_pointwise_{number}")
    return norm(name=f"{name}_norm_{number}")(x)


def _pool(x, padding, name):
    """Max pooling of stride 2 of maps that may be negative: what is around them must not count."""
    if padding == "symmetric":
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=float("-inf"))
    return layers.MaxPooling2D(3, 2, "valid" if padding == "symmetric" else "same", name=name)(x)


def _block(x, filters, *, halve, relu_first=True, norm, padding, name, end):
    """Separable convolutions, each after a ReLU, and a shortcut: `(b, h, w, c)` to `(b, h / 2, w / 2, f)` or `h, w`."""
    y = x
    for k, f in enumerate(filters, 1):
        if k > 1 or relu_first:
            y = layers.ReLU(name=f"{name}_relu_{k}")(y)
        y = _separable(y, f, norm=norm, name=name, number=k)
    if halve:
        y = _pool(y, padding, f"{name}_pool")
        x = conv(x, filters[-1], 1, 2, padding="valid", name=f"{name}_shortcut_conv")
        x = norm(name=f"{name}_shortcut_norm")(x)
    return layers.Add(name=end)([x, y])


def xception(
    image_shape,
    num_classes,
    *,
    filters=FILTERS,
    depth=8,
    width=1.0,
    stem="large",
    norm=NORM,
    padding="same",
    dropout=0.5,
    name="xception",
):
    """Xception: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`. The paper's images have 299 pixels.
        num_classes: number of logits; 0 gives the pooled features.
        filters: of the stem's two convolutions, the four blocks that halve the image, and the last two convolutions.
        depth: blocks of the middle flow, which keep the size.
        width: all filters are multiplied by this.
        stem: `"large"`, which halves the image, or `"small"`, which does not, for images of 28 or 32 pixels.
        norm: makes a normalisation layer.
        padding: of the poolings: `"same"` as the author's weights, or `"symmetric"` as PyTorch's.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    filters = [max(1, round(f * width)) for f in filters]
    options = dict(norm=norm, padding=padding)
    inputs = image_input(image_shape, 7 if stem == "large" else 1, name)
    x = conv(
        *(inputs, filters[0], 3, 2 if stem == "large" else 1),
        padding="valid" if stem == "large" else "same",
        name="stem_conv_1",
    )
    x = layers.ReLU(name="stem_relu_1")(norm(name="stem_norm_1")(x))
    x = conv(x, filters[1], 3, padding="valid" if stem == "large" else "same", name="stem_conv_2")
    x = layers.ReLU(name="stem")(norm(name="stem_norm_2")(x))
    for i, f in enumerate(filters[2:6], 1):
        last = f"stage_{i}_block_1"
        widths = (x.shape[-1], f) if i == 4 else (f, f)
        end = f"stage_{i}" if i < 3 or (i == 3 and not depth) else last
        x = _block(x, widths, halve=True, relu_first=i > 1, name=last, end=end, **options)
        for j in range(2, depth + 2 if i == 3 else 2):
            block = f"stage_{i}_block_{j}"
            end = f"stage_{i}" if j == depth + 1 else block
            x = _block(x, (f, f, f), halve=False, name=block, end=end, **options)
    for k, f in enumerate(filters[6:], 1):
        x = _separable(x, f, norm=norm, name="stage_4_end", number=k)
        x = layers.ReLU(name="stage_4" if k == 2 else f"stage_4_end_relu_{k}")(x)
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
