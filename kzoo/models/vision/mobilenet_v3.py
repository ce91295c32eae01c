"""MobileNetV3: MobileNetV2's blocks with squeeze and excitation and hard swish, laid out by a search.

Howard et al. (2019), Searching for MobileNetV3, arXiv:1905.02244.

Shapes: b batch, h height, w width, c channels, e expanded channels, f filters, s strides.
"""

import functools

import keras
from keras import layers

from kzoo.models.vision.mobile import conv_norm, depthwise_norm, divisible, smallest, squeeze_excite, stages
from kzoo.models.vision.parts import NORM, check_stem, image_input, logits, residual

TENSORFLOW_NORM = functools.partial(NORM, epsilon=1e-3, momentum=0.99)
RE, HS = "relu", "hard_silu"
LARGE = (  # Table 1: kernel, expanded channels, filters, squeeze and excitation, activation, strides
    (3, 16, 16, False, RE, 1),
    (3, 64, 24, False, RE, 2),
    (3, 72, 24, False, RE, 1),
    (5, 72, 40, True, RE, 2),
    (5, 120, 40, True, RE, 1),
    (5, 120, 40, True, RE, 1),
    (3, 240, 80, False, HS, 2),
    (3, 200, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 480, 112, True, HS, 1),
    (3, 672, 112, True, HS, 1),
    (5, 672, 160, True, HS, 2),
    (5, 960, 160, True, HS, 1),
    (5, 960, 160, True, HS, 1),
)
SMALL = (  # Table 2
    (3, 16, 16, True, RE, 2),
    (3, 72, 24, False, RE, 2),
    (3, 88, 24, False, RE, 1),
    (5, 96, 40, True, HS, 2),
    (5, 240, 40, True, HS, 1),
    (5, 240, 40, True, HS, 1),
    (5, 120, 48, True, HS, 1),
    (5, 144, 48, True, HS, 1),
    (5, 288, 96, True, HS, 2),
    (5, 576, 96, True, HS, 1),
    (5, 576, 96, True, HS, 1),
)
WIDTHS = {"": 1.0, "_035": 0.35, "_050": 0.5, "_075": 0.75, "_125": 1.25}  # figure 1
SIZES = {
    **{f"mobilenet_v3_large{end}": dict(rows=LARGE, hidden=1280, width=w) for end, w in WIDTHS.items()},
    **{f"mobilenet_v3_small{end}": dict(rows=SMALL, hidden=1024, width=w) for end, w in WIDTHS.items()},
}


def inverted_residual(
    x, filters, strides, *, kernel_size, expansion, excite, activation, norm, padding, name
):
    """1x1 to more channels, a kernel for each, weights for each, 1x1: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    c, y = x.shape[-1], x
    if expansion != 1:
        y = conv_norm(y, divisible(c * expansion), norm=norm, activation=activation, name=f"{name}_expand")
    y = depthwise_norm(
        *(y, kernel_size, strides),
        norm=norm,
        activation=activation,
        padding=padding,
        name=f"{name}_depthwise",
    )
    if excite:
        y = squeeze_excite(y, divisible(y.shape[-1] / 4), gate="hard_sigmoid", name=f"{name}_se")
    y = conv_norm(y, filters, norm=norm, name=f"{name}_project")
    return residual(x, y, name=name) if strides == 1 and c == filters else y


def mobilenet_v3(
    image_shape,
    num_classes,
    *,
    rows=LARGE,
    hidden=1280,
    width=1.0,
    stem="large",
    norm=TENSORFLOW_NORM,
    padding="symmetric",
    dropout=0.2,
    name="mobilenet_v3",
):
    """MobileNetV3: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives what the head is given.
        rows: of table 1: kernel size, expanded channels, filters, squeeze and excitation, activation, strides.
        hidden: units of the dense layer before the head, at a width up to 1.
        width: what all filters are multiplied with.
        stem: `"large"`, a convolution of stride 2, or `"small"`, for images of 28 or 32 pixels: neither it nor
            the first block that would halves them.
        norm: makes a normalisation layer.
        padding: of strided convolutions: `"symmetric"` as PyTorch, or `"same"` as TensorFlow.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    blocks, before = [], 16
    for kernel_size, expanded, f, excite, activation, s in rows:
        own = dict(kernel_size=kernel_size, excite=excite, activation=activation)
        blocks.append(dict(filters=divisible(f * width), strides=s, expansion=expanded / before, **own))
        before = f
    groups = stages(blocks, stem)
    inputs = image_input(image_shape, smallest(groups, stem), name)
    strides = 2 if stem == "large" else 1
    x = conv_norm(inputs, 16, 3, strides, norm=norm, padding=padding, name="stem")  # as wide at every width
    x = layers.Activation(HS, name="stem")(x)
    for i, group in enumerate(groups, 1):
        for j, block in enumerate(group, 1):
            x = inverted_residual(x, **block, norm=norm, padding=padding, name=f"stage_{i}_block_{j}")
        x = layers.Identity(name=f"stage_{i}")(x)
    x = conv_norm(x, 6 * x.shape[-1], norm=norm, activation=HS, name="top")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(divisible(hidden * max(1.0, width)), HS, name="top_dense")(x)
    return keras.Model(inputs, logits(x, num_classes, dropout), name=name)
