"""DCGAN: a generator of transposed convolutions and a critic of strided ones, scaled to small images.

Radford, Metz and Chintala (2016), Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, arXiv:1511.06434; with classes the critic projects on a vector of the class: Miyato and Koyama (2018), cGANs
with Projection Discriminator, arXiv:1802.05637. `kzoo.learners.AdversarialNetworks` trains it.

Shapes: b batch, h height, w width, c channels, z dim of the noise.
"""

import math

import keras
from keras import layers

from kzoo.layers import SpectralNormalization
from kzoo.layers.arguments import check_whole
from kzoo.models.generative.parts import LABELS, check_image, first, joined, labelled
from kzoo.models.vision.parts import initializer

IMAGE_SHAPE = None  # it serves any data set
NUM_CLASSES = 0
SIZES = {  # filters of the generator; the paper's are (1024, 512, 256, 128) for 64 x 64
    "dcgan": dict(filters=(256, 128), noise_dim=100),
    "dcgan_small": dict(filters=(64, 32), noise_dim=64),  # for a CPU
}
NORMAL = initializer("RandomNormal", mean=0.0, stddev=0.02)


def dcgan(
    image_shape,
    num_classes,
    *,
    noise_dim=100,
    filters=(256, 128),
    label_dim=32,
    critic_norm=layers.BatchNormalization,
    spectral_norm=False,
    name="dcgan",
):
    """Both networks of a GAN: noise `(b, z)` to a generated `"image"`, `(b, h, w, c)`, and its critic's `"logits"`.

    `model.get_layer("generator")` makes images between 0 and 1 of noise, `model.get_layer("critic")` gives `(b,)`
    logits of images. With classes each takes a dictionary instead of the one tensor: that tensor, as `"noise"` or
    `"images"`, and `"labels"`, whole numbers `(b,)`.

    Args:
        image_shape: `(h, w, c)`, fixed.
        num_classes: of the labels; 0 for a model without.
        noise_dim: z.
        filters: of the generator's maps, from small to large, each half as large as the next; the critic's are the
            opposite.
        label_dim: of a class's learned vector, for the generator.
        critic_norm: makes the critic's normalisation, of all its convolutions but the first; `None` for none. Under a
            gradient penalty `keras.layers.RMSNormalization`.
        spectral_norm: whether all kernels of the critic are divided by their largest singular value.
        name: of the model.

    Raises:
        ValueError: for an image that cannot be halved so often, or sizes that make no sense.
    """
    check_whole(noise_dim=noise_dim, label_dim=label_dim, halvings=len(filters))
    image_shape = check_image(image_shape, len(filters), name)
    generator = _generator(image_shape, num_classes, noise_dim, filters, label_dim)
    critic = _critic(image_shape, num_classes, filters[::-1], critic_norm, spectral_norm)
    inputs = labelled(keras.Input((noise_dim,), name="noise"), num_classes)
    image = generator(inputs)
    judged = {"images": image, LABELS: inputs[LABELS]} if num_classes else image
    return keras.Model(inputs, {"image": image, "logits": critic(judged)}, name=name)


def _generator(image_shape, num_classes, noise_dim, filters, label_dim):
    inputs = labelled(keras.Input((noise_dim,), name="noise"), num_classes)
    x = joined(inputs, first(inputs), num_classes, label_dim)
    h, w, c = image_shape
    maps = (h // 2 ** len(filters), w // 2 ** len(filters), filters[0])
    x = layers.Dense(math.prod(maps), use_bias=False, kernel_initializer=NORMAL, name="stem")(x)
    x = layers.Reshape(maps, name="maps")(x)
    for i, count in enumerate([*filters[1:], c], 1):
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
        last = i == len(filters)
        # A kernel that the stride divides leaves no checkerboard, and every engine pads it alike.
        x = layers.Conv2DTranspose(
            count, 4, strides=2, padding="same", use_bias=last, kernel_initializer=NORMAL, name=f"conv_{i}"
        )(x)
    x = layers.Activation("tanh", name="tanh")(x)
    return keras.Model(inputs, layers.Rescaling(0.5, 0.5, name="pixels")(x), name="generator")


def _critic(image_shape, num_classes, filters, norm, spectral_norm):
    def wrapped(layer, weight="kernel"):
        return (
            SpectralNormalization(layer, weight=weight, name=f"{layer.name}_sn") if spectral_norm else layer
        )

    inputs = labelled(keras.Input(image_shape, name="images"), num_classes)
    x = layers.Rescaling(2.0, -1.0, name="centred")(first(inputs))
    for i, count in enumerate(filters, 1):
        normed = norm is not None and i > 1
        conv = layers.Conv2D(
            count,
            4,
            strides=2,
            padding="same",
            use_bias=not normed,
            kernel_initializer=NORMAL,
            name=f"conv_{i}",
        )
        x = wrapped(conv)(x)
        if normed:
            x = norm(name=f"norm_{i}")(x)
        x = layers.LeakyReLU(0.2, name=f"relu_{i}")(x)
    flat = layers.Flatten(name="flat")(x)
    logits = wrapped(layers.Dense(1, kernel_initializer=NORMAL, name="head"))(flat)
    if num_classes:
        # On all features, not their means over the image: where something is says which digit it is.
        embedding = layers.Embedding(
            num_classes, flat.shape[-1], embeddings_initializer=NORMAL, name="label_embedding"
        )
        vector = wrapped(embedding, "embeddings")(inputs[LABELS])
        logits = layers.Add(name="judged")([logits, layers.Dot(1, name="projection")([flat, vector])])
    return keras.Model(inputs, layers.Reshape((), name="logits")(logits), name="critic")
