"""Variational autoencoder: images to normals of a code and codes to images, also those drawn from N(0, I).

Kingma and Welling (2014), Auto-Encoding Variational Bayes, arXiv:1312.6114; with classes: Sohn, Lee and Yan (2015).
`kzoo.learners.VariationalAutoencoder` trains it.

Shapes: b batch, h height, w width, c channels, d dim of the code.
"""

import keras
from keras import layers

from kzoo.layers.arguments import check_whole
from kzoo.models.generative.parts import check_image, encoded, first, joined, labelled, painted

IMAGE_SHAPE = None  # it serves any data set
NUM_CLASSES = 0
SIZES = {
    "vae": dict(filters=(32, 64), hidden_dims=(256,)),  # ours
    "vae_dense": dict(filters=(), hidden_dims=(500,)),  # Section 5 of the paper, for MNIST
}


def vae(
    image_shape, num_classes, *, latent_dim=16, filters=(32, 64), hidden_dims=(256,), label_dim=16, name="vae"
):
    """Variational autoencoder: `(b, h, w, c)` images to the `"mean"` and `"log_variance"` of their codes, `(b, d)`, and
    the `"logits"` of the image that the mean stands for.

    `model.get_layer("encoder")` gives a dictionary of mean and log-variance, `model.get_layer("decoder")` the logits of
    codes. With classes each of the three takes a dictionary instead of the one tensor: that tensor, as `"images"` or
    `"latent"`, and `"labels"`, whole numbers `(b,)`.

    Args:
        image_shape: `(h, w, c)`, fixed.
        num_classes: of the labels; 0 for a model without.
        latent_dim: d.
        filters: of the convolutions, each of which halves the image; none for a dense network.
        hidden_dims: widths of the dense layers before the code and, in the opposite order, after it.
        label_dim: of a class's learned vector.
        name: of the model.

    Raises:
        ValueError: for an image that cannot be halved so often, or sizes that make no sense.
    """
    check_whole(latent_dim=latent_dim, label_dim=label_dim)
    image_shape = check_image(image_shape, len(filters), name)

    inputs = labelled(keras.Input(image_shape, name="images"), num_classes)
    x = encoded(first(inputs), filters, ())
    x = joined(inputs, x, num_classes, label_dim)
    for i, width in enumerate(hidden_dims, 1):
        x = layers.Dense(width, activation="relu", name=f"dense_{i}")(x)
    normal = {part: layers.Dense(latent_dim, name=part)(x) for part in ("mean", "log_variance")}
    encoder = keras.Model(inputs, normal, name="encoder")

    inputs = labelled(keras.Input((latent_dim,), name="latent"), num_classes)
    x = joined(inputs, first(inputs), num_classes, label_dim)
    decoder = keras.Model(inputs, painted(x, image_shape, filters, hidden_dims), name="decoder")

    inputs = labelled(keras.Input(image_shape, name="images"), num_classes)
    outputs = encoder(inputs)
    code = outputs["mean"] if not num_classes else {"latent": outputs["mean"], "labels": inputs["labels"]}
    return keras.Model(inputs, {"logits": decoder(code), **outputs}, name=name)
