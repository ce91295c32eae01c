"""GoogLeNet: modules of parallel branches with windows of several sizes (Inception v1), and its successor (v2).

Szegedy et al. (2015), Going Deeper with Convolutions, arXiv:1409.4842: `googlenet`. The same network with batch
normalisation instead of local responses, and 3x3 windows where the paper has 5x5, is what torchvision publishes:
`googlenet_bn`. Ioffe and Szegedy (2015), Batch Normalization, arXiv:1502.03167, figure 5: `inception_v2`, whose 5x5
windows are two of 3x3, and whose modules halve the image themselves.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import functools

import keras
from keras import layers

from kzoo.models.vision.branches import NORM, stage, unit
from kzoo.models.vision.dense_head import resized
from kzoo.models.vision.local_response import local_response_norm
from kzoo.models.vision.parts import check_stem, head, image_input

response_norm = functools.partial(local_response_norm, alpha=2e-5, k=1.0)  # the constants of Caffe's network


def _v1(one, three, five, pool, window=5):
    """Figure 2(b): windows of 1, 3 and 5 pixels and a pooling, each behind a 1x1 convolution that narrows."""
    return (
        ((one, 1),),
        ((three[0], 1), (three[1], 3)),
        ((five[0], 1), (five[1], window)),
        (("max", 3, 1), (pool, 1)),
    )


def _v2(one, three, double, pool, kind="average"):
    """Two 3x3 instead of one 5x5."""
    return (
        ((one, 1),),
        ((three[0], 1), (three[1], 3)),
        ((double[0], 1), (double[1], 3), (double[1], 3)),
        ((kind, 3, 1), (pool, 1)),
    )


def _halve(three, double):
    """Strided branches beside a pooling that passes everything through."""
    return (
        ((three[0], 1), (three[1], 3, 2)),
        ((double[0], 1), (double[1], 3), (double[1], 3, 2)),
        (("max", 3, 2),),
    )


def _stages(v1, last_pool):
    """Table 1 of GoogLeNet: modules 3a to 5b."""
    pool = ((("max", 3, 2),),)
    return (
        (pool, v1(64, (96, 128), (16, 32), 32), v1(128, (128, 192), (32, 96), 64)),
        (
            pool,
            v1(192, (96, 208), (16, 48), 64),
            v1(160, (112, 224), (24, 64), 64),
            v1(128, (128, 256), (24, 64), 64),
            v1(112, (144, 288), (32, 64), 64),
            v1(256, (160, 320), (32, 128), 128),
        ),
        (
            ((("max", last_pool, 2),),),
            v1(256, (160, 320), (32, 128), 128),
            v1(384, (192, 384), (48, 128), 128),
        ),
    )


STAGES = {
    "googlenet": _stages(_v1, 3),
    "googlenet_bn": _stages(functools.partial(_v1, window=3), 2),
    "inception_v2": (  # figure 5 of the paper on batch normalisation
        (
            ((("max", 3, 2),),),
            _v2(64, (64, 64), (64, 96), 32),
            _v2(64, (64, 96), (64, 96), 64),
        ),
        (
            _halve((128, 160), (64, 96)),
            _v2(224, (64, 96), (96, 128), 128),
            _v2(192, (96, 128), (96, 128), 128),
            _v2(160, (128, 160), (128, 160), 96),
            _v2(96, (128, 192), (160, 192), 96),
        ),
        (
            _halve((128, 192), (192, 256)),
            _v2(352, (192, 320), (160, 224), 128),
            _v2(352, (192, 320), (192, 224), 128, "max"),
        ),
    ),
}
SIZES = {
    "googlenet": dict(modules="googlenet"),
    "googlenet_bn": dict(modules="googlenet_bn", norm=NORM, dropout=0.2),
    "inception_v2": dict(modules="inception_v2", norm=NORM, pooled="symmetric", dropout=0.0),
}


def _stem(stem, norm):
    """Up to the pooling before the first module; a small one keeps the image's size."""
    steps = (
        ((64, 7, 2), ("max", 3, 2), (64, 1), (192, 3)) if stem == "large" else ((64, 3), (64, 1), (192, 3))
    )
    if norm is None:
        early = 2 if stem == "large" else 1
        steps = (*steps[:early], response_norm, *steps[early:])
    return ((steps,),)


def googlenet(
    image_shape,
    num_classes,
    *,
    modules="googlenet",
    width=1.0,
    stem="large",
    auxiliary=False,
    norm=None,
    pooled="ceil",
    dropout=0.4,
    name="googlenet",
):
    """GoogLeNet: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`.
        num_classes: number of logits; 0 gives the pooled features.
        modules: whose: a key of `STAGES`.
        width: all filters are multiplied by this.
        stem: `"large"`, which divides the image by 4 before the first module's pooling halves it again, or `"small"`,
            which keeps images of 28 or 32 pixels as they are, without that pooling.
        auxiliary: whether two more classifiers look at the middle stage (not for `inception_v2`). The outputs are then
            `[logits, first's logits, second's logits]`; the paper adds their losses with a weight of 0.3.
        norm: makes a normalisation layer; `None` for biases and the local response normalisation of the paper.
        pooled: padding of strided poolings: `"ceil"` as in Caffe and torchvision, or as in `parts.pad`.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or an argument is unknown.
    """
    check_stem(stem)
    if modules not in STAGES:
        raise ValueError(f"modules must be one of {list(STAGES)}. Received: modules={modules!r}")
    if auxiliary and (not num_classes or modules == "inception_v2"):
        raise ValueError(
            "the auxiliary classifiers are GoogLeNet's, and need classes. "
            f"Received: auxiliary=True, modules={modules!r}, num_classes={num_classes}"
        )
    options = dict(norm=norm, width=width, strided="symmetric", pooled=pooled)
    inputs = image_input(image_shape, 32 if stem == "large" else 4, name)
    x = stage(inputs, _stem(stem, norm), name="stem", **options)
    if norm is None:
        x = response_norm(x)
    extra = []
    for i, tables in enumerate(STAGES[modules], 1):
        if i == 1 and stem == "small":
            tables = tables[1:]
        x = stage(x, tables, name=f"stage_{i}", **options)
    outputs = head(x, num_classes, dropout)
    if auxiliary:  # after modules 4a and 4d
        inner = keras.Model(inputs, x)
        for n, block in enumerate((2, 5), 1):
            maps = inner.get_layer(f"stage_2_block_{block}").output
            extra.append(_auxiliary(maps, num_classes, name=f"aux_{n}", **options))
    return keras.Model(inputs, [outputs, *extra] if extra else outputs, name=name)


def _auxiliary(x, num_classes, *, name, width, **options):
    """A classifier in the middle: `(b, h, w, c)` to `(b, num_classes)`."""
    x = resized(x, (4, 4))
    x = unit(x, 128, name=name, width=width, **options)
    x = layers.Flatten(name=f"{name}_flatten")(x)
    x = layers.Dense(max(1, round(1024 * width)), activation="relu", name=f"{name}_hidden")(x)
    x = layers.Dropout(0.7, name=f"{name}_dropout")(x)
    return layers.Dense(num_classes, name=f"head_{name}")(x)
