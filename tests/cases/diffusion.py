"""Diffusion for the parity gate: compiled learners, and data with the noise and the times handed in."""

import keras
import numpy as np

import kzoo

SIZES = dict(filters=4, multipliers=(1, 2), depth=1, attention_levels=(1,), groups=2, dim=8, patch_size=1)


def network(image_shape, num_classes, **more):
    return kzoo.create_model(
        "diffusion_unet_small", image_shape=image_shape, num_classes=num_classes, **SIZES | more
    )


def denoiser(image_shape=(4, 6, 2), num_classes=3):
    """Two convolutions with the U-Net's inputs, for what the learner alone does: engines compile it in no time."""
    inputs = {
        "images": keras.Input(image_shape, name="images"),
        "times": keras.Input((), dtype="int32", name="times"),
    }
    told = kzoo.layers.TimeEmbedding(8)(inputs["times"])
    if num_classes:
        inputs["labels"] = keras.Input((), dtype="int32", name="labels")
        told = told + keras.layers.Embedding(num_classes + 1, 8, name="label_embedding")(inputs["labels"])
    x = keras.layers.Conv2D(8, 3, padding="same", activation="silu")(inputs["images"])
    x = x + keras.layers.Reshape((1, 1, 8))(keras.layers.Dense(8)(told))
    return keras.Model(inputs, keras.layers.Conv2D(image_shape[-1], 3, padding="same")(x))


def drawn(shape, seed):
    """Weights of a size that keeps the outputs of layers in bounds."""
    return np.random.default_rng(seed).normal(size=shape) / np.sqrt(max(1, np.prod(shape[:-1])))


def data(image_shape, code_shape, n=12):
    rng = np.random.default_rng(0)
    noise = {"noise": rng.normal(size=(n, *code_shape)), "times": rng.integers(0, 100, n).astype("int32")}
    return {"images": rng.uniform(size=(n, *image_shape))} | noise, rng.integers(0, 3, n).astype("int32")


def of_noise(optimizer=None):
    """On pixels, with classes."""
    learner = kzoo.learners.Diffusion(network((4, 4, 2), 3), steps=100, target="noise", label_dropout=0.0)
    learner.compile(optimizer or keras.optimizers.SGD(0.05))
    return learner, data((4, 4, 2), (4, 4, 2))


def of_codes():
    """On the codes of a linear autoencoder, which it leaves alone."""
    inputs, codes = keras.Input((3, 4, 1)), keras.Input((8,))
    encoder = keras.Model(inputs, keras.layers.Dense(8)(keras.layers.Flatten()(inputs)))
    decoder = keras.Model(codes, keras.layers.Reshape((3, 4, 1))(keras.layers.Dense(12)(codes)))
    space = kzoo.learners.LatentSpace(encoder, decoder, 2.0, (2, 2, 2))
    options = dict(schedule="linear", label_dropout=0.0, ema_momentum=0.2)
    learner = kzoo.learners.Diffusion(denoiser((2, 2, 2)), steps=100, latents=space, **options)
    learner.compile(keras.optimizers.SGD(0.05))
    return learner, data((3, 4, 1), (2, 2, 2))


DIFFUSION = {"Diffusion": of_noise, "LatentSpace": of_codes}
