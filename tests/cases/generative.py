"""Autoencoders and GANs for the parity gate: tiny networks, and compiled learners with the noise handed in."""

import keras
import numpy as np

import kzoo

SHAPE, CLASSES = (8, 4, 2), 5
SIZES = {
    "autoencoder": dict(filters=(3,), hidden_dims=(5,), latent_dim=3),
    "vae": dict(num_classes=CLASSES, filters=(3,), hidden_dims=(5,), latent_dim=3, label_dim=2),
    "vq_vae": dict(filters=(4,), num_codes=6, latent_dim=3),
    "dcgan": dict(num_classes=CLASSES, filters=(6, 5), noise_dim=3, label_dim=2),
}


def network(name, **more):
    return kzoo.create_model(name, **{"image_shape": SHAPE, **SIZES[name], **more})


# Every loss of twenty steps, each of one whole batch.
TWENTY = dict(epochs=20, batch_size=8)


def images(n=8):
    rng = np.random.default_rng(0)
    return rng, rng.uniform(size=(n, *SHAPE)), rng.integers(0, CLASSES, n).astype("int32")


def vae(likelihood, num_classes):
    learner = kzoo.learners.VariationalAutoencoder(network("vae", num_classes=num_classes), 0.5, likelihood)
    learner.compile(keras.optimizers.SGD(0.002))
    rng, x, y = images()
    return learner, ({"images": x, "noise": rng.normal(size=(8, 3))}, y), TWENTY


def gan(loss, sizes=None, rate=0.02, **training):
    learner = kzoo.learners.AdversarialNetworks(network("dcgan", **(sizes or {})), loss, **training)
    learner.compile(optimizers={name: keras.optimizers.SGD(rate) for name in ("critic", "generator")})
    rng, x, y = images()
    given = {"images": x, "noise": rng.normal(size=(8, 2, 3)), "mixing": rng.uniform(size=8)}
    return learner, (given, y), TWENTY


GENERATIVE = {
    "VariationalAutoencoder": lambda: vae("bernoulli", CLASSES),
    "VariationalAutoencoder, gaussian": lambda: vae("gaussian", 0),
    "AdversarialNetworks": lambda: gan(kzoo.losses.NonSaturatingGAN(), average=0.9),
    "AdversarialNetworks, penalty": lambda: gan(
        kzoo.losses.WassersteinGAN(),
        {"critic_norm": keras.layers.RMSNormalization, "num_classes": 0},
        rate=0.001,  # the penalty makes larger steps chaotic: engines part by rounding
        penalty=10.0,
        critic_steps=2,
    ),
    "AdversarialNetworks, spectral": lambda: gan(
        kzoo.losses.HingeGAN(), {"critic_norm": None, "spectral_norm": True}
    ),
}
