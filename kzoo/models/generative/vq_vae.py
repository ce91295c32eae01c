"""Autoencoder of discrete codes: every place of a small map takes the nearest vector of a learned codebook.

Van den Oord, Vinyals and Kavukcuoglu (2017), Neural Discrete Representation Learning, arXiv:1711.00937.

Shapes: b batch, h height, w width, c channels, p and q height and width of the map of codes, d dim of a code.
"""

import keras
import numpy as np
from keras import layers, ops

from kzoo.layers import VectorQuantizer
from kzoo.layers.arguments import check_whole
from kzoo.models.generative.parts import check_image

IMAGE_SHAPE = None  # it serves any data set
SIZES = {
    "vq_vae": dict(
        filters=(128, 256), depth=2, num_codes=512, latent_dim=64
    ),  # Section 4.1, for small images
    "vq_vae_small": dict(filters=(32, 64), depth=1, num_codes=128, latent_dim=16),  # ours, for a CPU
}


def residual(x, filters, name):
    """ReLU, 3 x 3, ReLU, 1 x 1, added to the input: the paper's block."""
    y = layers.ReLU(name=f"{name}_relu_1")(x)
    y = layers.Conv2D(filters // 2, 3, padding="same", activation="relu", name=f"{name}_conv_1")(y)
    y = layers.Conv2D(filters, 1, name=f"{name}_conv_2")(y)
    return layers.Add(name=name)([x, y])


def vq_vae(
    image_shape,
    *,
    filters=(32, 64),
    depth=1,
    num_codes=128,
    latent_dim=16,
    quantizer=VectorQuantizer,
    name="vq_vae",
):
    """Autoencoder of discrete codes: `(b, h, w, c)` images between 0 and 1 to the same again.

    Train it with `fit(x, x)`: the codebook's loss is among `model.losses`. Weigh the images' squared error by
    `1 / var(images)`, as the paper's code does, so that both count alike. The layers `encoder`, `codes` and `decoder`
    lead from images to vectors `(b, p, q, d)`, to the nearest codes, and to images; `codes_of` and `images_of` do so
    for numbers of codes.

    Args:
        image_shape: `(h, w, c)`, fixed.
        filters: of the convolutions with stride 2, each of which halves the image.
        depth: residual blocks on either side.
        num_codes: of the codebook.
        latent_dim: d.
        quantizer: makes the layer, from `num_codes` and a `name`; `kzoo.layers.VectorQuantizerEMA` learns the codes as
            moving averages.
        name: of the model.

    Raises:
        ValueError: for an image that cannot be halved so often, or sizes that make no sense.
    """
    check_whole(num_codes=num_codes, latent_dim=latent_dim, halvings=len(filters))
    image_shape = check_image(image_shape, len(filters), name)
    x = inputs = keras.Input(image_shape, name="images")
    for i, count in enumerate(filters, 1):
        x = layers.Conv2D(count, 4, strides=2, padding="same", activation="relu", name=f"conv_{i}")(x)
    for i in range(1, depth + 1):
        x = residual(x, filters[-1], f"block_{i}")
    encoder = keras.Model(inputs, layers.Conv2D(latent_dim, 1, name="vectors")(x), name="encoder")

    x = latent = keras.Input(encoder.output_shape[1:], name="latent")
    x = layers.Conv2D(filters[-1], 3, padding="same", name="stem")(x)
    for i in range(1, depth + 1):
        x = residual(x, filters[-1], f"block_{i}")
    x = layers.ReLU(name="stem_relu")(x)
    for i, count in enumerate(filters[-2::-1], 1):
        x = layers.Conv2DTranspose(count, 4, strides=2, padding="same", activation="relu", name=f"conv_{i}")(
            x
        )
    x = layers.Conv2DTranspose(image_shape[-1], 4, strides=2, padding="same", name="logits")(x)
    decoder = keras.Model(latent, layers.Activation("sigmoid", name="pixels")(x), name="decoder")

    images = keras.Input(image_shape, name="images")
    codes = quantizer(num_codes=num_codes, name="codes")(encoder(images))
    return keras.Model(images, decoder(codes), name=name)


def codes_of(model, images, batch_size=256):
    """Numbers of the codes that images become: `(n, h, w, c)` to int32 `(n, p, q)`, NumPy arrays."""
    vectors = model.get_layer("encoder").predict(images, batch_size=batch_size, verbose=0)
    return ops.convert_to_numpy(model.get_layer("codes").indices(vectors))


def images_of(model, codes, batch_size=256):
    """Images of numbers of codes: `(n, p, q)` to `(n, h, w, c)`, NumPy arrays.

    Raises:
        ValueError: if the codes are not a map of the decoder's size, or not in the codebook.
    """
    decoder, quantizer, codes = model.get_layer("decoder"), model.get_layer("codes"), np.asarray(codes)
    size = decoder.input_shape[1:3]
    if codes.ndim != 3 or codes.shape[1:] != size:
        raise ValueError(f"codes must be (n, {size[0]}, {size[1]}). Received: shape {codes.shape}")
    if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= quantizer.num_codes:
        raise ValueError(
            f"codes must be whole numbers in [0, {quantizer.num_codes}). Received: {codes.dtype} from "
            f"{codes.min()} to {codes.max()}"
        )
    vectors = ops.convert_to_numpy(quantizer.look_up(codes.astype("int32")))
    return decoder.predict(vectors, batch_size=batch_size, verbose=0)
