"""Residual network v2: normalisation and activation come before each convolution, and nothing after the sum.

He et al. (2016), Identity Mappings in Deep Residual Networks, arXiv:1603.05027. `resnet110_v2`, `resnet164_v2` and
`resnet1001_v2` are the paper's for images of 32 x 32 (tables 2 and 4), the others for larger ones (table 5).

Shapes: b batch, h height, w width, c channels, f filters, s strides.
"""

import keras
from keras import layers

from kzoo.models.vision.parts import (
    NORM,
    check_stem,
    conv,
    drop_path_rates,
    head,
    image_input,
    max_pool,
    residual,
)


def basic(x, filters, strides, *, norm, padding, use_bias, rate, name):
    """Two 3x3 convolutions: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    y = layers.ReLU(name=f"{name}_relu_1")(norm(name=f"{name}_norm_1")(x))
    x = _shortcut(x, y, filters, strides, use_bias=use_bias, name=name)
    y = conv(y, filters, 3, strides, padding=padding, name=f"{name}_conv_1")
    y = layers.ReLU(name=f"{name}_relu_2")(norm(name=f"{name}_norm_2")(y))
    y = conv(y, filters, 3, use_bias=use_bias, name=f"{name}_conv_2")
    return residual(x, y, rate, name=name)


def bottleneck(x, filters, strides, *, norm, padding, use_bias, rate, name):
    """1x1, 3x3 and 1x1 convolutions, the middle one narrow: `(b, h, w, c)` to `(b, h / s, w / s, 4 f)`."""
    y = layers.ReLU(name=f"{name}_relu_1")(norm(name=f"{name}_norm_1")(x))
    x = _shortcut(x, y, 4 * filters, strides, use_bias=use_bias, name=name)
    y = conv(y, filters, name=f"{name}_conv_1")
    y = layers.ReLU(name=f"{name}_relu_2")(norm(name=f"{name}_norm_2")(y))
    y = conv(y, filters, 3, strides, padding=padding, name=f"{name}_conv_2")
    y = layers.ReLU(name=f"{name}_relu_3")(norm(name=f"{name}_norm_3")(y))
    y = conv(y, 4 * filters, use_bias=use_bias, name=f"{name}_conv_3")
    return residual(x, y, rate, name=name)


def _shortcut(x, activated, filters, strides, *, use_bias, name):
    """x; where channels change, the activated x projected; where only sizes do, every so many of its pixels."""
    if x.shape[-1] != filters:
        return conv(activated, filters, 1, strides, use_bias=use_bias, name=f"{name}_shortcut_conv")
    return layers.MaxPooling2D(1, strides, name=f"{name}_shortcut_pool")(x) if strides > 1 else x


def _pooled(x, padding, zeros):
    """3x3 maxima at every other pixel. These maps may be negative, so that zeros around them would count."""
    if zeros:
        return max_pool(x, padding=padding, name="stem_pool")
    if padding == "symmetric":
        x = layers.MaxPooling2D(3, 1, "same", name="stem_maxima")(x)
        return layers.MaxPooling2D(1, 2, name="stem_pool")(x)
    return layers.MaxPooling2D(3, 2, padding, name="stem_pool")(x)


LARGE = dict(filters=(64, 128, 256, 512))
SMALL = dict(filters=(16, 32, 64), stem="small")
SIZES = {
    "resnet18_v2": dict(**LARGE, block=basic, depths=(2, 2, 2, 2)),
    "resnet34_v2": dict(**LARGE, block=basic, depths=(3, 4, 6, 3)),
    "resnet50_v2": dict(**LARGE, block=bottleneck, depths=(3, 4, 6, 3)),
    "resnet101_v2": dict(**LARGE, block=bottleneck, depths=(3, 4, 23, 3)),
    "resnet152_v2": dict(**LARGE, block=bottleneck, depths=(3, 8, 36, 3)),
    "resnet200_v2": dict(**LARGE, block=bottleneck, depths=(3, 24, 36, 3)),
    # 6 n + 2 layers of basic blocks, 9 n + 2 of bottlenecks
    "resnet110_v2": dict(**SMALL, block=basic, depths=(18, 18, 18)),
    "resnet164_v2": dict(**SMALL, block=bottleneck, depths=(18, 18, 18)),
    "resnet1001_v2": dict(**SMALL, block=bottleneck, depths=(111, 111, 111)),
}

IMAGE_SHAPE = {name: (32, 32, 3) for name, size in SIZES.items() if size.get("stem") == "small"}


def resnet_v2(
    image_shape,
    num_classes,
    *,
    block=bottleneck,
    depths=(3, 4, 6, 3),
    filters=(64, 128, 256, 512),
    stem="large",
    norm=NORM,
    padding="symmetric",
    stride_last=False,
    pool_zeros=False,
    use_bias=False,
    dropout=0.0,
    drop_path_rate=0.0,
    name="resnet_v2",
):
    """Residual network v2: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        block: `basic` or `bottleneck`.
        depths: blocks of each stage; every stage but the first halves the image.
        filters: of each stage; a bottleneck gives four times as many.
        stem: `"large"`, a 7x7 convolution of stride 2 and pooling, or `"small"`, a 3x3, for images of 28 or 32 pixels.
        norm: makes a normalisation layer.
        padding: of strided convolutions: `"symmetric"` as PyTorch, or `"same"` as TensorFlow.
        stride_last: whether every stage but the last halves the image in its last block, as in TensorFlow's
            networks, rather than every stage but the first in its first.
        pool_zeros: whether the stem's pooling counts zeros around the maps, as in `keras.applications`.
        use_bias: whether the convolutions that no normalisation follows have biases.
        dropout: rate before the head.
        drop_path_rate: of the last block's branch; the first one's is 0, and it grows linearly.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    minimum = 2 ** (len(depths) - 1) * (4 if stem == "large" else 1)
    inputs = image_input(image_shape, minimum, name)
    if stem == "large":
        x = conv(inputs, filters[0], 7, 2, padding=padding, use_bias=use_bias, name="stem")
        x = _pooled(x, padding, pool_zeros)
    else:
        x = conv(inputs, filters[0], 3, use_bias=use_bias, name="stem")
    options = dict(norm=norm, padding=padding, use_bias=use_bias)
    rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
    for i, (f, depth) in enumerate(zip(filters, depths), 1):
        strided = (depth if i < len(depths) else 0) if stride_last else (1 if i > 1 else 0)
        for j in range(1, depth + 1):
            strides = 2 if j == strided else 1
            x = block(x, f, strides, rate=next(rates), name=f"stage_{i}_block_{j}", **options)
        x = layers.Identity(name=f"stage_{i}")(x)
    x = layers.ReLU(name="top_relu")(norm(name="top_norm")(x))
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
