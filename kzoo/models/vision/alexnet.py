"""AlexNet: five convolutions and three dense layers, the network that made deep learning known.

Krizhevsky et al. (2012), ImageNet Classification with Deep Convolutional Neural Networks: `alexnet_2012`, whose filters
stood on two cards and met in places only, and with local response normalisation. Krizhevsky (2014), One weird trick for
parallelizing convolutional neural networks, arXiv:1404.5997: `alexnet`, in one column, as torchvision publishes it.

Shapes: b batch, h height, w width, c channels, f filters, d hidden.
"""

import keras
from keras import layers

from kzoo.models.vision.dense_head import dense_head, resized
from kzoo.models.vision.local_response import local_response_norm
from kzoo.models.vision.parts import check_stem, conv, image_input

SIZES = {
    "alexnet": {},
    "alexnet_2012": dict(filters=(96, 256, 384, 384, 256), groups=(1, 2, 1, 2, 2), local_response=True),
}
SMALL_IMAGES = dict(stem="small", hidden_dims=(1024, 1024))


def alexnet(
    image_shape,
    num_classes,
    *,
    filters=(64, 192, 384, 256, 256),
    groups=(1, 1, 1, 1, 1),
    hidden_dims=(4096, 4096),
    stem="large",
    local_response=False,
    dropout=0.5,
    name="alexnet",
):
    """AlexNet: `(b, h, w, c)` images to `(b, num_classes)` logits.

    Args:
        image_shape: `(h, w, c)`, fixed. The paper's images have 224 pixels.
        num_classes: number of logits; 0 gives the last hidden layer.
        filters: of the five convolutions.
        groups: of the five convolutions: filters of one group see the channels of one group.
        hidden_dims: widths of the dense layers before the last. They see 6x6 means, or 2x2 with the small stem.
        stem: `"large"`, an 11x11 convolution of stride 4, or `"small"`, a 3x3, for images of 28 or 32 pixels.
        local_response: whether the first two convolutions are followed by local response normalisation.
        dropout: rate before each hidden layer.
        name: of the model.

    Raises:
        ValueError: if the image is too small or its size is free, or the stem is unknown.
    """
    check_stem(stem)
    inputs = image_input(image_shape, 63 if stem == "large" else 15, name)
    if stem == "large":
        x = layers.ZeroPadding2D(2, name="stem_conv_pad")(inputs)
        x = conv(x, filters[0], 11, 4, padding="valid", use_bias=True, groups=groups[0], name="stem_conv")
    else:
        x = conv(inputs, filters[0], 3, use_bias=True, groups=groups[0], name="stem_conv")
    x = layers.ReLU(name="stem")(x)
    if local_response:
        x = local_response_norm(x)
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    x = conv(x, filters[1], 5, use_bias=True, groups=groups[1], name="stage_1_conv_1")
    x = layers.ReLU(name="stage_1")(x)
    if local_response:
        x = local_response_norm(x)
    x = layers.MaxPooling2D(3, 2, name="stage_1_pool")(x)
    for j, (f, g) in enumerate(zip(filters[2:], groups[2:], strict=True), 1):
        x = conv(x, f, 3, use_bias=True, groups=g, name=f"stage_2_conv_{j}")
        x = layers.ReLU(name="stage_2" if j == 3 else f"stage_2_relu_{j}")(x)
    x = layers.MaxPooling2D(3, 2, name="stage_2_pool")(x)
    x = resized(x, (6, 6) if stem == "large" else (2, 2))
    return keras.Model(
        inputs, dense_head(x, num_classes, hidden_dims, dropout, dropout_first=True), name=name
    )
