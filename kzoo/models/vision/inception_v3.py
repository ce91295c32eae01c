"""Inception v3: modules of parallel branches, large kernels taken apart into rows and columns.

Szegedy et al. (2016), Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567, with the filters of
the published weights, which the paper does not list in full.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import keras
from keras import layers

from kzoo.models.vision.branches import NORM, stage, unit
from kzoo.models.vision.parts import check_stem, head, image_input

POOL = ((("max", 3, 2),),)  # a module of one branch of one step
STEMS = {
    "large": ((((32, 3, 2), (32, 3, 1, "valid"), (64, 3), ("max", 3, 2), (80, 1), (192, 3, 1, "valid")),),),
    "small": ((((32, 3), (32, 3), (64, 3), (80, 1), (192, 3)),),),
}


def _a(pool):
    """Figure 5: a 5x5 convolution as two 3x3; one 5x5 is left."""
    return (
        ((64, 1),),
        ((48, 1), (64, 5)),
        ((64, 1), (96, 3), (96, 3)),
        (("average", 3, 1), (pool, 1)),
    )


def _c(narrow):
    """Figure 6: 7x7 convolutions as rows and columns."""
    row, column, last_row, last_column = (narrow, (1, 7)), (narrow, (7, 1)), (192, (1, 7)), (192, (7, 1))
    return (
        ((192, 1),),
        ((narrow, 1), row, last_column),
        ((narrow, 1), column, row, column, last_row),
        (("average", 3, 1), (192, 1)),
    )


# Figure 10: the image is halved beside a pooling.
B = (((384, 3, 2),), ((64, 1), (96, 3), (96, 3, 2)), (("max", 3, 2),))
D = (
    ((192, 1), (320, 3, 2)),
    ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
    (("max", 3, 2),),
)
# Figure 7: wide forks, for the coarsest maps.
FORK = [((384, (1, 3)),), ((384, (3, 1)),)]
E = (((320, 1),), ((384, 1), FORK), ((448, 1), (384, 3), FORK), (("average", 3, 1), (192, 1)))

STAGES = (
    (POOL, _a(32), _a(64), _a(64)),
    (B, _c(128), _c(160), _c(160), _c(192)),
    (D, E, E),
)
SIZES = {"inception_v3": {}}  # Table 1
IMAGE_SHAPE = (299, 299, 3)


def inception_v3(
    image_shape,
    num_classes,
    *,
    stages=STAGES,
    width=1.0,
    stem="large",
    auxiliary=False,
    norm=NORM,
    averaged="symmetric",
    dropout=0.5,
    name="inception_v3",
):
    """Inception v3: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`. The paper's images have 299 pixels.
        num_classes: number of logits; 0 gives the pooled features.
        stages: of modules, as `kzoo.models.vision.branches` describes them.
        width: all filters are multiplied by this.
        stem: `"large"`, which divides the image by 4 before the first module's pooling halves it again, or `"small"`,
            which keeps images of 28 or 32 pixels as they are, without that pooling.
        auxiliary: whether a second classifier looks at the middle stage. The outputs are then
            `[logits, auxiliary logits]`, for training with both.
        norm: makes a normalisation layer.
        averaged: padding of average poolings: `"symmetric"` counts the zeros around the image, as PyTorch's networks
            do, `"same"` does not, as TensorFlow's.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    if auxiliary and not num_classes:
        raise ValueError("an auxiliary classifier needs classes. Received: auxiliary=True, num_classes=0")
    options = dict(norm=norm, width=width, averaged=averaged)
    inputs = image_input(image_shape, 75 if stem == "large" else 7, name)
    x = stage(inputs, STEMS[stem], name="stem", **options)
    if stem == "small":
        stages = (stages[0][1:], *stages[1:])
    extra = []
    for i, modules in enumerate(stages, 1):
        x = stage(x, modules, name=f"stage_{i}", **options)
        if auxiliary and i == 2:
            extra.append(_auxiliary(x, num_classes, **options))
    x = head(x, num_classes, dropout)
    return keras.Model(inputs, [x, *extra] if extra else x, name=name)


def _auxiliary(x, num_classes, **options):
    """The second classifier (section 4 of the paper): `(b, h, w, c)` to `(b, num_classes)`."""
    if any(size is not None and size < 17 for size in x.shape[1:3]):
        raise ValueError(
            f"the auxiliary classifier needs maps of at least 17 x 17: use larger images. Received: {x.shape[1:3]}"
        )
    x = layers.AveragePooling2D(5, 3, name="aux_pool")(x)
    x = unit(x, 128, name="aux", number=1, **options)
    x = unit(x, 768, 5, padding="valid", name="aux", number=2, **options)
    x = layers.GlobalAveragePooling2D(name="aux_mean")(x)
    return layers.Dense(num_classes, name="head_aux")(x)
