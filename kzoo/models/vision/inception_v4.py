"""Inception v4: a deeper, more uniform Inception network.

Szegedy et al. (2017), Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning,
arXiv:1602.07261, figures 3 to 9.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import keras

from kzoo.models.vision.branches import NORM, stage
from kzoo.models.vision.parts import check_stem, head, image_input

MAX, MEAN = ("max", 3, 2), ("average", 3, 1)
ROW, COLUMN = (1, 7), (7, 1)
STEMS = {
    "large": (  # figure 3
        (((32, 3, 2), (32, 3, 1, "valid"), (64, 3)),),
        ((MAX,), ((96, 3, 2),)),
        (
            ((64, 1), (96, 3, 1, "valid")),
            ((64, 1), (64, ROW), (64, COLUMN), (96, 3, 1, "valid")),
        ),
    ),
    "small": (
        (((32, 3), (32, 3), (64, 3)),),
        (
            ((64, 1), (96, 3)),
            ((64, 1), (64, ROW), (64, COLUMN), (96, 3)),
        ),
    ),
}
HALVE = (((192, 3, 2),), (MAX,))  # the last part of figure 3
A = (  # figure 4
    ((96, 1),),
    ((64, 1), (96, 3)),
    ((64, 1), (96, 3), (96, 3)),
    (MEAN, (96, 1)),
)
REDUCTION_A = (((384, 3, 2),), ((192, 1), (224, 3), (256, 3, 2)), (MAX,))  # figure 7 and table 1
B = (  # figure 5
    ((384, 1),),
    ((192, 1), (224, ROW), (256, COLUMN)),
    ((192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
    (MEAN, (128, 1)),
)
REDUCTION_B = (  # figure 8
    ((192, 1), (192, 3, 2)),
    ((256, 1), (256, ROW), (320, COLUMN), (320, 3, 2)),
    (MAX,),
)
FORK = [((256, (1, 3)),), ((256, (3, 1)),)]
C = (  # figure 6
    ((256, 1),),
    ((384, 1), FORK),
    ((384, 1), (448, (3, 1)), (512, (1, 3)), FORK),
    (MEAN, (256, 1)),
)
SIZES = {"inception_v4": dict(depths=(4, 7, 3))}  # figure 9
IMAGE_SHAPE = (299, 299, 3)


def inception_v4(
    image_shape,
    num_classes,
    *,
    depths=(4, 7, 3),
    width=1.0,
    stem="large",
    norm=NORM,
    averaged="same",
    dropout=0.2,
    name="inception_v4",
):
    """Inception v4: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`. The paper's images have 299 pixels.
        num_classes: number of logits; 0 gives the pooled features.
        depths: modules of each stage, beside the one that halves the image.
        width: all filters are multiplied by this.
        stem: `"large"`, which divides the image by 4 before the first stage halves it again, or `"small"`, which keeps
            images of 28 or 32 pixels as they are, without that halving.
        norm: makes a normalisation layer.
        averaged: padding of average poolings: `"same"` does not count the zeros around the image, `"symmetric"` does.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or the stem is unknown.
    """
    check_stem(stem)
    options = dict(norm=norm, width=width, averaged=averaged)
    inputs = image_input(image_shape, 75 if stem == "large" else 7, name)
    x = stage(inputs, STEMS[stem], name="stem", **options)
    for i, (first, module, depth) in enumerate(
        zip((HALVE, REDUCTION_A, REDUCTION_B), (A, B, C), depths, strict=True), 1
    ):
        modules = (module,) * depth if i == 1 and stem == "small" else (first, *(module,) * depth)
        x = stage(x, modules, name=f"stage_{i}", **options)
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
