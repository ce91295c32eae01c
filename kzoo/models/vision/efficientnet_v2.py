"""EfficientNetV2: EfficientNet with whole convolutions in its first stages, found by a search for speed in training.

Tan and Le (2021), EfficientNetV2: Smaller Models and Faster Training, arXiv:2104.00298. XL and B0 to B3 are in the
authors' code; B0 to B3 grow as EfficientNet's do.

Shapes: b batch, h height, w width, c channels, f filters, s strides, t expansion.
"""

import functools
import math

import keras

from kzoo.models.vision.efficientnet import mbconv
from kzoo.models.vision.mobile import body, conv_norm, divisible
from kzoo.models.vision.parts import NORM, drop_path_rates, head, residual


def fused_mbconv(x, filters, strides, *, expansion, kernel_size, norm, padding, rate, name):
    """A convolution to t times the channels, and 1x1: `(b, h, w, c)` to `(b, h / s, w / s, f)`. For t = 1 the first."""
    c = x.shape[-1]
    widened = filters if expansion == 1 else c * expansion
    y = conv_norm(
        *(x, widened, kernel_size, strides),
        norm=norm,
        activation="silu",
        padding=padding,
        name=f"{name}_fused",
    )
    if expansion != 1:
        y = conv_norm(y, filters, norm=norm, name=f"{name}_project")
    return residual(x, y, rate, name=name) if strides == 1 and c == filters else y


F, M = fused_mbconv, mbconv
BASE = (  # block, expansion, filters, depth, strides of the first block; all kernels are 3x3
    (F, 1, 16, 1, 1),
    (F, 4, 32, 2, 2),
    (F, 4, 48, 2, 2),
    (M, 4, 96, 3, 2),
    (M, 6, 112, 5, 1),
    (M, 6, 192, 8, 2),
)
SMALL = (  # Table 4
    (F, 1, 24, 2, 1),
    (F, 4, 48, 4, 2),
    (F, 4, 64, 4, 2),
    (M, 4, 128, 6, 2),
    (M, 6, 160, 9, 1),
    (M, 6, 256, 15, 2),
)
MEDIUM = (
    (F, 1, 24, 3, 1),
    (F, 4, 48, 5, 2),
    (F, 4, 80, 5, 2),
    (M, 4, 160, 7, 2),
    (M, 6, 176, 14, 1),
    (M, 6, 304, 18, 2),
    (M, 6, 512, 5, 1),
)
LARGE = (
    (F, 1, 32, 4, 1),
    (F, 4, 64, 7, 2),
    (F, 4, 96, 7, 2),
    (M, 4, 192, 10, 2),
    (M, 6, 224, 19, 1),
    (M, 6, 384, 25, 2),
    (M, 6, 640, 7, 1),
)
EXTRA_LARGE = (
    (F, 1, 32, 4, 1),
    (F, 4, 64, 8, 2),
    (F, 4, 96, 8, 2),
    (M, 4, 192, 16, 2),
    (M, 6, 256, 24, 1),
    (M, 6, 512, 32, 2),
    (M, 6, 640, 8, 1),
)
SIZES = {
    "efficientnet_v2_s": dict(rows=SMALL, stem_filters=24, dropout=0.2),
    "efficientnet_v2_m": dict(rows=MEDIUM, stem_filters=24, dropout=0.3),
    "efficientnet_v2_l": dict(rows=LARGE, stem_filters=32, dropout=0.4),
    "efficientnet_v2_xl": dict(rows=EXTRA_LARGE, stem_filters=32, dropout=0.4),
    "efficientnet_v2_b0": dict(rows=BASE, width=1.0, depth=1.0, dropout=0.2),
    "efficientnet_v2_b1": dict(rows=BASE, width=1.0, depth=1.1, dropout=0.2),
    "efficientnet_v2_b2": dict(rows=BASE, width=1.1, depth=1.2, dropout=0.3),
    "efficientnet_v2_b3": dict(rows=BASE, width=1.2, depth=1.4, dropout=0.3),
}
IMAGE_SHAPE = {  # for evaluation
    **{
        f"efficientnet_v2_{size}": (side, side, 3)
        for size, side in zip(("s", "m", "l", "xl"), (384, 480, 480, 512))
    },
    **{f"efficientnet_v2_b{i}": (side, side, 3) for i, side in enumerate((224, 240, 260, 300))},
}
TENSORFLOW_NORM = functools.partial(NORM, epsilon=1e-3)


def efficientnet_v2(
    image_shape,
    num_classes,
    *,
    rows=SMALL,
    stem_filters=32,
    width=1.0,
    depth=1.0,
    stem="large",
    norm=TENSORFLOW_NORM,
    padding="symmetric",
    dropout=0.2,
    drop_path_rate=0.0,
    name="efficientnet_v2",
):
    """EfficientNetV2: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        rows: of table 4: `mbconv` or `fused_mbconv`, expansion, filters, depth, strides.
        stem_filters: of the first convolution, at a width of 1.
        width: what all filters are multiplied with.
        depth: what each row's depth is multiplied with, rounded up.
        stem: `"large"`, a convolution of stride 2, or `"small"`, for images of 28 or 32 pixels: neither it nor
            the first block that would halves them.
        norm: makes a normalisation layer.
        padding: of strided convolutions: `"symmetric"` as PyTorch, or `"same"` as TensorFlow.
        dropout: rate before the head.
        drop_path_rate: of the last block's branch; the first one's is 0, and it grows linearly. 0.2 in the paper.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    # Unlike EfficientNet's, these may shrink by more than a tenth.
    rounded = functools.partial(divisible, limit=0.0)
    blocks = [
        dict(block=block, expansion=t, kernel_size=3, filters=rounded(f * width), strides=s if n == 0 else 1)
        for block, t, f, d, s in rows
        for n in range(math.ceil(d * depth))
    ]
    for block, rate in zip(blocks, drop_path_rates(drop_path_rate, len(blocks))):
        block["rate"] = rate
    common = dict(activation="silu", stem=stem, norm=norm, padding=padding, name=name)
    inputs, x = body(image_shape, blocks, _made, filters=rounded(stem_filters * width), **common)
    x = conv_norm(x, rounded(1280 * width), norm=norm, activation="silu", name="top")
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)


def _made(x, *, block, **arguments):
    return block(x, **arguments)
