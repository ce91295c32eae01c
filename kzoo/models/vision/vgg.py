"""VGG: many 3x3 convolutions, the image halved and the filters doubled from stage to stage.

Simonyan and Zisserman (2015), Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556.
The `_bn` sizes have batch normalisation after each convolution.

Shapes: b batch, h height, w width, c channels, f filters, d hidden.
"""

import keras
from keras import layers

from kzoo.models.vision.dense_head import dense_head, resized
from kzoo.models.vision.parts import NORM, check_stem, conv, head, image_input

SIZES = {  # Table 1 of the paper: A, B, D and E
    "vgg11": dict(depths=(1, 1, 2, 2, 2)),
    "vgg13": dict(depths=(2, 2, 2, 2, 2)),
    "vgg16": dict(depths=(2, 2, 3, 3, 3)),
    "vgg19": dict(depths=(2, 2, 4, 4, 4)),
}
SIZES |= {f"{name}_bn": dict(**size, norm=NORM) for name, size in SIZES.items()}


def vgg(
    image_shape,
    num_classes,
    *,
    depths=(2, 2, 3, 3, 3),
    filters=(64, 128, 256, 512, 512),
    hidden_dims=None,
    stem="large",
    norm=None,
    dropout=0.5,
    name="vgg",
):
    """VGG: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`; h and w may be `None` where there are no hidden layers.
        num_classes: number of logits; 0 gives what the last layer would see.
        depths: convolutions of each stage; poolings between and after halve the image.
        filters: of each stage.
        hidden_dims: widths of the dense layers before the last, which see 7x7 means; without any, the mean over the
            image goes straight to the last. `None` is `(4096, 4096)` for the large stem and `()` for the small one.
        stem: `"large"`, or `"small"` for images of 28 or 32 pixels: poolings then keep what is left of odd sizes.
        norm: makes a normalisation layer; `None` for none.
        dropout: rate after each hidden layer, or before the head.
        name: of the model.

    Raises:
        ValueError: if the image is too small, its size is free and there are hidden layers, or the stem is unknown.
    """
    check_stem(stem)
    if hidden_dims is None:
        hidden_dims = (4096, 4096) if stem == "large" else ()
    x = inputs = image_input(image_shape, 2 ** len(depths) if stem == "large" else 1, name)
    for i, (f, depth) in enumerate(zip(filters, depths, strict=True), 1):
        for j in range(1, depth + 1):
            first = i == j == 1  # its name says where the image's channels matter
            x = conv(x, f, 3, use_bias=True, name="stem_conv" if first else f"stage_{i}_conv_{j}")
            if norm is not None:
                x = norm(name="stem_norm" if first else f"stage_{i}_norm_{j}")(x)
            x = layers.ReLU(name=f"stage_{i}" if j == depth else f"stage_{i}_relu_{j}")(x)
        x = layers.MaxPooling2D(2, padding="valid" if stem == "large" else "same", name=f"stage_{i}_pool")(x)
    if hidden_dims:
        return keras.Model(
            inputs, dense_head(resized(x, (7, 7)), num_classes, hidden_dims, dropout), name=name
        )
    return keras.Model(inputs, head(x, num_classes, dropout), name=name)
