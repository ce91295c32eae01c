"""Autoencoder: an image through a narrow code and back.

Hinton and Salakhutdinov (2006), Reducing the Dimensionality of Data with Neural Networks, Science 313; denoising:
Vincent et al. (2008), Extracting and Composing Robust Features with Denoising Autoencoders; sparse codes: Ng (2011),
CS294A lecture notes.

Shapes: b batch, h height, w width, c channels, d dim of the code.
"""

import keras
from keras import layers

from kzoo.layers.arguments import check_rate, check_whole
from kzoo.models.generative.parts import check_image, encoded, painted

IMAGE_SHAPE = None  # it serves any data set
SIZES = {
    "autoencoder": dict(filters=(32, 64), hidden_dims=()),
    "autoencoder_dense": dict(filters=(), hidden_dims=(512, 256)),
}


def autoencoder(
    image_shape,
    *,
    latent_dim=32,
    filters=(32, 64),
    hidden_dims=(),
    noise=0.0,
    sparsity=0.0,
    name="autoencoder",
):
    """Autoencoder: `(b, h, w, c)` images between 0 and 1 to the same again. Train it with `fit(x, x)`.

    Binary cross-entropy is the safer loss for a dense one: under the squared error the output's sigmoid may saturate at
    black in the first steps of dark images, and stay there.

    `model.get_layer("encoder")` gives codes `(b, d)`, `model.get_layer("decoder")` images of codes.

    Args:
        image_shape: `(h, w, c)`, fixed.
        latent_dim: d.
        filters: of the convolutions, each of which halves the image; none for a dense network.
        hidden_dims: widths of the dense layers before the code and, in the opposite order, after it.
        noise: deviation of normal noise that is added to the images in training, and not to what they are compared
            with: a denoising autoencoder.
        sparsity: weight of the codes' mean absolute value in the loss; codes are then not negative.
        name: of the model.

    Raises:
        ValueError: for an image that cannot be halved so often, or sizes that make no sense.
    """
    check_whole(latent_dim=latent_dim)
    check_rate(noise=noise, sparsity=sparsity)
    image_shape = check_image(image_shape, len(filters), name)
    inputs = keras.Input(image_shape, name="images")
    x = encoded(inputs, filters, hidden_dims)
    code = layers.Dense(latent_dim, activation="relu" if sparsity else None, name="code")(x)
    encoder = keras.Model(inputs, code, name="encoder")
    latent = keras.Input((latent_dim,), name="latent")
    logits = painted(latent, image_shape, filters, hidden_dims)
    decoder = keras.Model(latent, layers.Activation("sigmoid", name="pixel")(logits), name="decoder")

    images = keras.Input(image_shape, name="images")
    x = layers.GaussianNoise(noise, name="noise")(images) if noise else images
    x = encoder(x)
    if sparsity:
        # Keras divides the penalty by the batch.
        x = layers.ActivityRegularization(l1=sparsity / latent_dim, name="sparsity")(x)
    return keras.Model(images, decoder(x), name=name)
