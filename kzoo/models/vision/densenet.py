"""Densely connected network: each layer is given the maps of all before it, and adds a few of its own.

Huang et al. (2017), Densely Connected Convolutional Networks, arXiv:1608.06993. `densenet161` is in the authors' code.
`densenet40` to `densenet_bc190_k40` are the paper's for images of 32 x 32 (section 4.2).

Shapes: b batch, h height, w width, c channels, k growth.
"""

import keras
from keras import layers

from kzoo.models.vision.parts import NORM, check_stem, conv, head, image_input, max_pool

LARGE = dict(growth=32, filters=64)
PLAIN = dict(stem="small", filters=16, bottleneck=0, compression=1.0)
BC = dict(stem="small")
SIZES = {
    # Table 1 of the paper
    "densenet121": dict(**LARGE, depths=(6, 12, 24, 16)),
    "densenet169": dict(**LARGE, depths=(6, 12, 32, 32)),
    "densenet201": dict(**LARGE, depths=(6, 12, 48, 32)),
    "densenet264": dict(**LARGE, depths=(6, 12, 64, 48)),
    "densenet161": dict(growth=48, filters=96, depths=(6, 12, 36, 24)),
    # Table 2: L layers are 3 n + 4, two for each n with a bottleneck
    "densenet40": dict(**PLAIN, growth=12, depths=(12, 12, 12)),
    "densenet100": dict(**PLAIN, growth=12, depths=(32, 32, 32)),
    "densenet100_k24": dict(**PLAIN, growth=24, depths=(32, 32, 32)),
    "densenet_bc100": dict(**BC, growth=12, filters=24, depths=(16, 16, 16)),
    "densenet_bc250_k24": dict(**BC, growth=24, filters=48, depths=(41, 41, 41)),
    "densenet_bc190_k40": dict(**BC, growth=40, filters=80, depths=(31, 31, 31)),
}

IMAGE_SHAPE = {name: (32, 32, 3) for name, size in SIZES.items() if size.get("stem") == "small"}


def dense_layer(x, growth, *, bottleneck, norm, block_dropout, name, last=None):
    """1x1 to a few times k channels and 3x3 to k, after x: `(b, h, w, c)` to `(b, h, w, c + k)`."""
    y = layers.ReLU(name=f"{name}_relu_1")(norm(name=f"{name}_norm_1")(x))
    if bottleneck:
        y = conv(y, bottleneck * growth, name=f"{name}_conv_1")
        if block_dropout:
            y = layers.Dropout(block_dropout, name=f"{name}_dropout_1")(y)
        y = layers.ReLU(name=f"{name}_relu_2")(norm(name=f"{name}_norm_2")(y))
    y = conv(y, growth, 3, name=f"{name}_conv_2")
    if block_dropout:
        y = layers.Dropout(block_dropout, name=f"{name}_dropout_2")(y)
    return layers.Concatenate(name=last or f"{name}_concat")([x, y])


def transition(x, filters, *, norm, name):
    """1x1 to fewer channels, and means of 2x2: `(b, h, w, c)` to `(b, h / 2, w / 2, filters)`."""
    x = layers.ReLU(name=f"{name}_relu")(norm(name=f"{name}_norm")(x))
    return layers.AveragePooling2D(2, name=f"{name}_pool")(conv(x, filters, name=f"{name}_conv"))


def densenet(
    image_shape,
    num_classes,
    *,
    depths=(6, 12, 24, 16),
    growth=32,
    filters=64,
    bottleneck=4,
    compression=0.5,
    stem="large",
    norm=NORM,
    dropout=0.0,
    block_dropout=0.0,
    name="densenet",
):
    """Densely connected network: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        depths: layers of each stage; a transition between stages halves the image.
        growth: k, the channels that a layer adds.
        filters: of the stem.
        bottleneck: channels of a layer's 1x1 convolution, over k; 0 has none.
        compression: channels after a transition over those before.
        stem: `"large"`, a 7x7 convolution of stride 2 and pooling, or `"small"`, a 3x3, for images of 28 or 32 pixels.
        norm: makes a normalisation layer.
        dropout: rate before the head.
        block_dropout: rate after each convolution of a layer; 0.2 in the paper for data that is not augmented.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    reduction = 2 ** (len(depths) - 1)
    inputs = image_input(image_shape, 4 * reduction if stem == "large" else reduction, name)
    if stem == "large":
        x = conv(inputs, filters, 7, 2, name="stem_conv")
        x = layers.ReLU(name="stem")(norm(name="stem_norm")(x))
        x = max_pool(x, name="stem_pool")
    else:
        x = conv(inputs, filters, 3, name="stem")  # the first layer normalises
    options = dict(bottleneck=bottleneck, norm=norm, block_dropout=block_dropout)
    for i, depth in enumerate(depths, 1):
        for j in range(1, depth + 1):
            last = f"stage_{i}" if j == depth else None
            x = dense_layer(x, growth, name=f"stage_{i}_block_{j}", last=last, **options)
        if i < len(depths):
            x = transition(x, int(x.shape[-1] * compression), norm=norm, name=f"stage_{i}_transition")
    x = layers.ReLU(name="top_relu")(norm(name="top_norm")(x))
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
