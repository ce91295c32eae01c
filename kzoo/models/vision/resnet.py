"""Residual network: each block adds a correction to what it was given.

He et al. (2016), Deep Residual Learning for Image Recognition, arXiv:1512.03385. The stride of a bottleneck is in its
3x3 convolution ("v1.5"), as in nearly all published weights; `stride_first=True` has it in the first 1x1, as the
paper. `resnet20` to `resnet110` are the paper's for images of 32 x 32 (section 4.2), with projections as shortcuts.
ResNeXt: Xie et al. (2017), arXiv:1611.05431. Wider bottlenecks: Zagoruyko and Komodakis (2016), arXiv:1605.07146.
Squeeze-and-excitation: Hu et al. (2018), arXiv:1709.01507.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import functools

import keras
from keras import layers

from kzoo.layers import SqueezeExcite
from kzoo.models.vision.parts import NORM, conv, drop_path_rates, head, image_input, max_pool, residual


def basic(x, filters, strides, *, norm, attention, rate, name, **options):
    """Two 3x3 convolutions: `(b, h, w, c)` to `(b, h / s, w / s, f)`."""
    width = filters
    y = conv(
        x, width, 3, strides, padding=options["padding"], use_bias=options["use_bias"], name=f"{name}_conv_1"
    )
    y = layers.ReLU(name=f"{name}_relu_1")(norm(name=f"{name}_norm_1")(y))
    y = conv(y, filters, 3, use_bias=options["use_bias"], name=f"{name}_conv_2")
    y = norm(name=f"{name}_norm_2")(y)
    return _added(x, y, filters, strides, norm=norm, attention=attention, rate=rate, name=name, **options)


def bottleneck(x, filters, strides, *, norm, attention, rate, name, groups=1, group_width=64, **options):
    """1x1, 3x3 and 1x1 convolutions, the middle one narrow: `(b, h, w, c)` to `(b, h / s, w / s, 4 f)`."""
    width = filters * group_width // 64 * groups
    first, second = (strides, 1) if options["stride_first"] else (1, strides)
    use_bias = options["use_bias"]
    y = conv(x, width, 1, first, use_bias=use_bias, name=f"{name}_conv_1")
    y = layers.ReLU(name=f"{name}_relu_1")(norm(name=f"{name}_norm_1")(y))
    y = conv(
        *(y, width, 3, second),
        padding=options["padding"],
        groups=groups,
        use_bias=use_bias,
        name=f"{name}_conv_2",
    )
    y = layers.ReLU(name=f"{name}_relu_2")(norm(name=f"{name}_norm_2")(y))
    y = conv(y, 4 * filters, use_bias=use_bias, name=f"{name}_conv_3")
    y = norm(name=f"{name}_norm_3")(y)
    return _added(x, y, 4 * filters, strides, norm=norm, attention=attention, rate=rate, name=name, **options)


def _added(x, y, filters, strides, *, norm, attention, rate, name, **options):
    """The shortcut, projected where sizes differ, plus the branch."""
    if attention is not None:
        y = attention(name=f"{name}_attention")(y)
    if strides > 1 or x.shape[-1] != filters:
        x = conv(x, filters, 1, strides, use_bias=options["use_bias"], name=f"{name}_shortcut_conv")
        x = norm(name=f"{name}_shortcut_norm")(x)
    return residual(x, y, rate, name=name)


BASIC = dict(block=basic)
BOTTLENECK = dict(block=bottleneck)
SMALL = dict(block=basic, filters=(16, 32, 64), stem="small")
SE = dict(attention=functools.partial(SqueezeExcite, 16))
SMALL_SIZES = {f"resnet{6 * n + 2}": dict(**SMALL, depths=(n, n, n)) for n in (3, 5, 7, 9, 18)}
IMAGE_SHAPE = dict.fromkeys(SMALL_SIZES, (32, 32, 3))
NUM_CLASSES = dict.fromkeys(SMALL_SIZES, 10)
SIZES = {
    # Table 1 of the paper
    "resnet18": dict(**BASIC, depths=(2, 2, 2, 2)),
    "resnet34": dict(**BASIC, depths=(3, 4, 6, 3)),
    "resnet50": dict(**BOTTLENECK, depths=(3, 4, 6, 3)),
    "resnet101": dict(**BOTTLENECK, depths=(3, 4, 23, 3)),
    "resnet152": dict(**BOTTLENECK, depths=(3, 8, 36, 3)),
    # Table 6: 6 n + 2 layers
    **SMALL_SIZES,
    # ResNeXt, tables 1 and 5
    "resnext50_32x4d": dict(**BOTTLENECK, depths=(3, 4, 6, 3), groups=32, group_width=4),
    "resnext101_32x4d": dict(**BOTTLENECK, depths=(3, 4, 23, 3), groups=32, group_width=4),
    "resnext101_32x8d": dict(**BOTTLENECK, depths=(3, 4, 23, 3), groups=32, group_width=8),
    "resnext101_64x4d": dict(**BOTTLENECK, depths=(3, 4, 23, 3), groups=64, group_width=4),
    # Wide ResNet, table 8
    "wide_resnet50_2": dict(**BOTTLENECK, depths=(3, 4, 6, 3), group_width=128),
    "wide_resnet101_2": dict(**BOTTLENECK, depths=(3, 4, 23, 3), group_width=128),
    # Squeeze-and-excitation, table 2
    "se_resnet18": dict(**BASIC, **SE, depths=(2, 2, 2, 2)),
    "se_resnet34": dict(**BASIC, **SE, depths=(3, 4, 6, 3)),
    "se_resnet50": dict(**BOTTLENECK, **SE, depths=(3, 4, 6, 3)),
    "se_resnet101": dict(**BOTTLENECK, **SE, depths=(3, 4, 23, 3)),
    "se_resnet152": dict(**BOTTLENECK, **SE, depths=(3, 8, 36, 3)),
}


def resnet(
    image_shape,
    num_classes,
    *,
    block=basic,
    depths=(2, 2, 2, 2),
    filters=(64, 128, 256, 512),
    stem="large",
    groups=1,
    group_width=64,
    attention=None,
    norm=NORM,
    padding="symmetric",
    stride_first=False,
    use_bias=False,
    dropout=0.0,
    drop_path_rate=0.0,
    name="resnet",
):
    """Residual network: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        block: `basic` or `bottleneck`.
        depths: blocks of each stage; every stage but the first halves the image.
        filters: of each stage; a bottleneck gives four times as many.
        stem: `"large"`, a 7x7 convolution of stride 2 and pooling, or `"small"`, a 3x3, for images of 28 or 32 pixels.
        groups: of a bottleneck's 3x3 convolution (ResNeXt's cardinality).
        group_width: width of a group at 64 filters.
        attention: makes a layer for the end of each branch, such as `kzoo.layers.SqueezeExcite`.
        norm: makes a normalisation layer.
        padding: of strided convolutions: `"symmetric"` as PyTorch, or `"same"` as TensorFlow.
        stride_first: whether a bottleneck's stride is in its first convolution.
        use_bias: whether convolutions have biases although a normalisation follows.
        dropout: rate before the head.
        drop_path_rate: of the last block's branch; the first one's is 0, and it grows linearly.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    if stem not in ("large", "small"):
        raise ValueError(f"stem must be 'large' or 'small'. Received: stem={stem!r}")
    inputs = image_input(image_shape, 32 if stem == "large" else 2 ** len(depths), name)
    options = dict(
        norm=norm, attention=attention, padding=padding, stride_first=stride_first, use_bias=use_bias
    )
    if block is bottleneck:
        options |= dict(groups=groups, group_width=group_width)
    if stem == "large":
        x = conv(inputs, filters[0], 7, 2, padding=padding, use_bias=use_bias, name="stem_conv")
    else:
        x = conv(inputs, filters[0], 3, use_bias=use_bias, name="stem_conv")
    x = layers.ReLU(name="stem")(norm(name="stem_norm")(x))
    if stem == "large":
        x = max_pool(x, padding=padding, name="stem_pool")
    rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
    for i, (f, depth) in enumerate(zip(filters, depths), 1):
        for j in range(1, depth + 1):
            strides = 2 if i > 1 and j == 1 else 1
            x = block(x, f, strides, rate=next(rates), name=f"stage_{i}_block_{j}", **options)
            x = layers.ReLU(name=f"stage_{i}" if j == depth else f"stage_{i}_block_{j}")(x)
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
