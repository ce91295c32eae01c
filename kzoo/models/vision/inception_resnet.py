"""Inception-ResNet: Inception modules as the branches of a residual network, in two sizes (v1 and v2).

Szegedy et al. (2017), Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning,
arXiv:1602.07261. v1 follows the paper's figures 10 to 14. v2 is the network of the published weights, which differs
from the paper's: it begins as Inception v3, with a module without shortcut, halves the image with other filters, and
ends in a 1x1 convolution.

Shapes: b batch, h height, w width, c channels, f filters.
"""

import keras
from keras import layers

from kzoo.models.vision.branches import NORM, module, stage
from kzoo.models.vision.parts import check_stem, conv, head, image_input

MAX, MEAN = ("max", 3, 2), ("average", 3, 1)
BEGINNING = ((32, 3, 2), (32, 3, 1, "valid"), (64, 3), MAX, (80, 1), (192, 3, 1, "valid"))
SMALL = ((((32, 3), (32, 3), (64, 3), (80, 1), (192, 3)),),)
V1 = dict(
    stem=((BEGINNING,),),
    starts=(  # what stands before each stage's residual modules
        ((((256, 3, 2),),),),  # the end of figure 14
        ((((384, 3, 2),), ((192, 1), (192, 3), (256, 3, 2)), (MAX,)),),  # figure 7 with table 1
        (
            (((256, 1), (384, 3, 2)), ((256, 1), (256, 3, 2)), ((256, 1), (256, 3), (256, 3, 2)), (MAX,)),
        ),  # 12
    ),
    small_start=((((256, 3),),),),
    residual=(
        (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3))),  # figure 10
        (((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1)))),  # figure 11
        (((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1)))),  # figure 13
    ),
    end=None,
)
MIXED = (((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (MEAN, (64, 1)))
V2 = dict(
    stem=((BEGINNING,),),
    starts=(
        (((MAX,),), MIXED),
        ((((384, 3, 2),), ((256, 1), (256, 3), (384, 3, 2)), (MAX,)),),
        ((((256, 1), (384, 3, 2)), ((256, 1), (288, 3, 2)), ((256, 1), (288, 3), (320, 3, 2)), (MAX,)),),
    ),
    small_start=(MIXED,),
    residual=(
        (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
        (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
        (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
    ),
    end=(((1536, 1),),),
)
VERSIONS = {1: V1, 2: V2}
SIZES = {
    "inception_resnet_v1": dict(version=1, depths=(5, 10, 5)),  # figure 15, left
    "inception_resnet_v2": dict(version=2, depths=(10, 20, 10)),
}
IMAGE_SHAPE = (299, 299, 3)


def _residual(x, branches, scale, *, name, end, activation, **options):
    """`x` plus a scaled module brought back to as many channels: `(b, h, w, c)` to the same."""
    y = module(x, branches, name=name, end=f"{name}_mixed", **options)
    y = conv(y, x.shape[-1], use_bias=True, name=f"{name}_conv")
    y = layers.Rescaling(scale, name=f"{name}_scale")(y)
    x = layers.Add(name=f"{name}_add" if activation else end)([x, y])
    return layers.ReLU(name=end)(x) if activation else x


def inception_resnet(
    image_shape,
    num_classes,
    *,
    version=2,
    depths=(10, 20, 10),
    scales=(0.17, 0.1, 0.2),
    width=1.0,
    stem="large",
    norm=NORM,
    dropout=0.2,
    name="inception_resnet",
):
    """Inception-ResNet: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None`. The paper's images have 299 pixels.
        num_classes: number of logits; 0 gives the pooled features.
        version: 1, as costly as Inception v3, or 2, as Inception v4.
        depths: residual modules of each stage.
        scales: of each stage's residuals, without which deep networks did not train (section 3.3). The very last
            module's is 1 in version 2, and no ReLU follows it, as in the published weights.
        width: all filters are multiplied by this.
        stem: `"large"`, which divides the image by 4 before the first stage halves it again, or `"small"`, which keeps
            images of 28 or 32 pixels as they are, without that halving.
        norm: makes a normalisation layer.
        dropout: rate before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, or an argument is unknown.
    """
    check_stem(stem)
    if version not in VERSIONS:
        raise ValueError(f"version must be 1 or 2. Received: version={version!r}")
    tables = VERSIONS[version]
    options = dict(norm=norm, width=width)
    inputs = image_input(image_shape, 75 if stem == "large" else 7, name)
    x = stage(inputs, tables["stem"] if stem == "large" else SMALL, name="stem", **options)
    for i, (start, branches, depth, scale) in enumerate(
        zip(tables["starts"], tables["residual"], depths, scales, strict=True), 1
    ):
        if i == 1 and stem == "small":
            start = tables["small_start"]
        x = stage(x, start, name=f"stage_{i}_start", **options)
        for j in range(1, depth + 1):
            last = i == len(depths) and j == depth and tables["end"] is not None
            block = f"stage_{i}_block_{j}"
            end = f"stage_{i}" if j == depth and not last else block
            s = 1.0 if last else scale
            x = _residual(x, branches, s, name=block, end=end, activation=not last, **options)
    if tables["end"] is not None:
        x = module(x, tables["end"], name="stage_3_end", end="stage_3", **options)
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
