"""MobileNetV3: MobileNetV2's blocks with squeeze and excitation and hard swish, laid out by a search.

Howard et al. (2019), Searching for MobileNetV3, arXiv:1905.02244.

Shapes: b batch, h height, w width, c channels, e expanded channels, f filters, s strides.
"""

import functools

import keras
from keras import layers

from kzoo.models.vision.mobile import body, conv_norm, divisible, inverted_residual, squeeze_excite
from kzoo.models.vision.parts import NORM, logits

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


def weighed(x, *, name):
    """Squeeze and excitation by a quarter of the channels, with a hard sigmoid."""
    return squeeze_excite(x, divisible(x.shape[-1] / 4), gate="hard_sigmoid", name=name)


def bottleneck(x, filters, strides, *, expansion, excite, **options):
    """1x1 to more channels, a kernel for each, weights for each, 1x1: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    expanded = 0 if expansion == 1 else divisible(x.shape[-1] * expansion)
    options = dict(excite=weighed if excite else None, **options)
    return inverted_residual(x, filters, strides, expanded=expanded, **options)


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
    blocks, before = [], 16
    for kernel_size, expanded, f, excite, activation, s in rows:
        own = dict(kernel_size=kernel_size, excite=excite, activation=activation)
        blocks.append(dict(filters=divisible(f * width), strides=s, expansion=expanded / before, **own))
        before = f
    common = dict(activation=HS, stem=stem, norm=norm, padding=padding, name=name)
    inputs, x = body(image_shape, blocks, bottleneck, filters=16, **common)  # 16 at every width
    x = conv_norm(x, 6 * x.shape[-1], norm=norm, activation=HS, name="top")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(divisible(hidden * max(1.0, width)), HS, name="top_dense")(x)
    return keras.Model(inputs, logits(x, num_classes, dropout), name=name)
