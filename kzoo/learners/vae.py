"""Training of variational autoencoders: the evidence lower bound, in nats for each image."""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_choice
from kzoo.learner import Learner
from kzoo.learners import generated
from kzoo.losses.divergence import kl_normal

LIKELIHOODS = ("bernoulli", "gaussian")
LOG_2_PI = float(np.log(2 * np.pi))


@keras.saving.register_keras_serializable("kzoo")
class VariationalAutoencoder(Learner):
    """Trains a VAE on `-E[log p(x | z)] + β KL(q(z | x) ‖ N(0, I))`, with one z drawn for each image.

    ```python
    model = kzoo.create_model("vae", image_shape=(28, 28, 1), num_classes=10)
    learner = kzoo.learners.VariationalAutoencoder(model)
    learner.compile(keras.optimizers.Adam(1e-3))
    learner.fit(x, y, validation_data=(x_test, y_test))  # a model without classes: fit(x)
    images = learner.sample(10, labels=3)
    ```

    Images lie between 0 and 1. Logs: the `loss`, its parts `reconstruction` and `kl`, and the bound itself without β,
    `elbo`, all in nats for each image. x may also be a dictionary of `"images"` and the `"noise"`, `(b, d)`, that is
    otherwise drawn here.

    Sources: Kingma and Welling (2014), arXiv:1312.6114; β: Higgins et al. (2017); one learned deviation for all
    pixels: Rybkin, Daniilidis and Levine (2021), arXiv:2006.13202.

    Args:
        model: with layers `encoder`, of images to a dictionary of `"mean"` and `"log_variance"`, and `decoder`, of
            codes to logits; such as `kzoo.create_model("vae")`.
        beta: β.
        likelihood: of the pixels given the code. `"bernoulli"`: with the probabilities σ(logits); a gray value counts
            as that share of white. `"gaussian"`: normal around σ(logits).
        seed: of the noise.
    """

    def __init__(self, model, beta=1.0, likelihood="bernoulli", seed=None, **kwargs):
        super().__init__(**kwargs)
        names = {layer.name for layer in model.layers}
        if not {"encoder", "decoder"} <= names:
            raise ValueError(
                "VariationalAutoencoder needs a model with layers encoder and decoder. "
                f"Received: model={model.name!r} with layers {sorted(names)}"
            )
        if not beta >= 0:
            raise ValueError(f"beta must be 0 or more. Received: beta={beta}")
        check_choice(LIKELIHOODS, likelihood=likelihood)
        self.model, self.beta, self.likelihood, self.seed = model, beta, likelihood, seed
        self.encoder, self.decoder = model.get_layer("encoder"), model.get_layer("decoder")
        self.num_classes = generated.num_classes_of(self.decoder)
        self.noise = keras.random.SeedGenerator(seed)
        if likelihood == "gaussian":
            self.log_deviation = self.add_weight(
                (), keras.initializers.Constant(np.log(0.2)), autocast=False, name="log_deviation"
            )

    def call(self, x, training=False):
        """Images as the mean of their code is painted again, between 0 and 1."""
        return ops.sigmoid(self.model(x, training=training)["logits"])

    def fit(self, x=None, y=None, **kwargs):
        generated.check_data(x, y, self.encoder, self.num_classes)
        return super().fit(x, y, **kwargs)

    def optimizer_targets(self, name):
        return self.trainable_variables

    def update(self, data):
        def loss():
            logs = self._computed(data, training=True)
            return logs["loss"], logs

        _, logs = self.minimize(loss, self.trainable_variables, has_aux=True)
        return logs

    def evaluate_step(self, data):
        return self._computed(data, training=False)

    def _computed(self, data, training):
        """The logs of one batch."""
        parts = generated.parts_of(data, self.encoder)
        images, labels, exact = parts["images"], parts.get("labels"), self.variable_dtype
        normal = self.encoder(generated.given(self.encoder, images, labels), training=training)
        mean, log_variance = (ops.cast(normal[name], exact) for name in ("mean", "log_variance"))
        noise = parts.get("noise")
        if noise is None:
            noise = keras.random.normal(ops.shape(mean), dtype=exact, seed=self.noise)
        code = mean + ops.exp(0.5 * log_variance) * ops.cast(noise, exact)
        logits = self.decoder(generated.given(self.decoder, code, labels), training=training)
        reconstruction = -self.log_likelihood(images, logits)
        divergence = kl_normal(mean, log_variance)
        values = {
            "loss": reconstruction + self.beta * divergence,
            "reconstruction": reconstruction,
            "kl": divergence,
            "elbo": -reconstruction - divergence,
        }
        return {name: ops.mean(value) for name, value in values.items()}

    def log_likelihood(self, images, logits):
        """`log p(x | z)` in nats, `(b,)`, of images and the decoder's logits."""
        x, logits = ops.cast(images, self.variable_dtype), ops.cast(logits, self.variable_dtype)
        if self.likelihood == "bernoulli":
            each = x * logits - ops.softplus(logits)
        else:
            log_deviation = self.log_deviation.value
            squares = ops.square((x - ops.sigmoid(logits)) * ops.exp(-log_deviation))
            each = -0.5 * (squares + LOG_2_PI) - log_deviation
        return ops.sum(each, axis=(1, 2, 3))

    # ------------------------------------------------------------------ using it

    def encode(self, images, labels=None, batch_size=256):
        """Mean and log-variance of the codes of images, two float32 arrays `(n, d)`."""
        inputs = generated.given(self.encoder, images, self._labels(labels, len(images)))
        found = self.encoder.predict(inputs, batch_size=batch_size, verbose=0)
        return tuple(found[name].astype("float32") for name in ("mean", "log_variance"))

    def decode(self, codes, labels=None, batch_size=256):
        """Images of codes, `(n, d)`: float32 `(n, h, w, c)` between 0 and 1."""
        codes = np.asarray(codes, "float32")
        inputs = generated.given(self.decoder, codes, self._labels(labels, len(codes)))
        return _sigmoid(self.decoder.predict(inputs, batch_size=batch_size, verbose=0))

    def reconstruct(self, images, labels=None, batch_size=256):
        """Images as the means of their codes are painted again: float32 `(n, h, w, c)` between 0 and 1."""
        return self.decode(self.encode(images, labels, batch_size)[0], labels, batch_size)

    def sample(self, count, labels=None, seed=0, batch_size=256):
        """Images of codes drawn from N(0, I): float32 `(count, h, w, c)` between 0 and 1.

        Args:
            count: how many.
            labels: a class for all or one for each, of a model with classes.
            seed: of the codes; the same draws on every engine.
            batch_size: how many at a time.
        """
        return _sigmoid(generated.drawn(self.decoder, count, labels, seed, self.num_classes, batch_size))

    def _labels(self, labels, count):
        return generated.checked_labels(self.decoder, labels, count, self.num_classes)

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        names = ("beta", "likelihood", "seed", "name")
        return {"model": model, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})


def _sigmoid(logits):
    """In NumPy, without overflow."""
    return (0.5 * (1.0 + np.tanh(0.5 * logits.astype("float64")))).astype("float32")
