"""Learners that the tests train."""

import keras
import numpy as np
from keras import layers, ops

import kzoo


def set_weights_by_rule(model, seed=0):
    """The same weights on every engine: drawn by NumPy, batch-norm statistics left as they are."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        scale = 1.0 / np.sqrt(max(1, np.prod(variable.shape[:-1])))
        variable.assign(rng.normal(0.0, scale, variable.shape).astype(variable.dtype))


def toy_data(n=64, seed=0):
    """A regression task: `x` of 4 numbers, `y` a smooth function of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype("float32")
    return x, np.tanh(x[:, :1] - x[:, 1:2] * x[:, 2:3]).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Regression(kzoo.Learner):
    """One optimizer, mean squared error: what Keras's own step does."""

    def __init__(self, dropout=0.0, batch_norm=False, **kwargs):
        super().__init__(**kwargs)
        self.dropout, self.batch_norm = dropout, batch_norm
        stack = [keras.Input((4,)), layers.Dense(16, activation="tanh")]
        stack += [layers.BatchNormalization()] if batch_norm else []
        stack += [layers.Dropout(dropout, seed=1)] if dropout else []
        self.net = keras.Sequential([*stack, layers.Dense(1)])

    def call(self, x, training=False):
        return self.net(x, training=training)

    def update(self, data):
        x, y = data
        variables = self.trainable_variables

        def loss(x, y):
            return ops.mean(ops.square(ops.subtract(self(x, training=True), y)))

        loss, gradients = kzoo.value_and_grad(loss, variables)(x, y)
        self.optimizer.apply(gradients, variables)
        return {"loss": loss}

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout, "batch_norm": self.batch_norm}


@keras.saving.register_keras_serializable("tests")
class SharpGAN(kzoo.Learner):
    """A critic with gradient penalty, trained by a sharpness-aware step, against a generator."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.critic = keras.Sequential(
            [keras.Input((4,)), layers.Dense(16, activation="tanh"), layers.Dense(1)]
        )
        self.generator = keras.Sequential(
            [keras.Input((4,)), layers.Dense(16, activation="tanh"), layers.Dense(4)]
        )

    def update(self, data):
        real, noise = data
        variables = self.critic.trainable_variables

        def critic_loss():
            fake = self.generator(noise)
            middle = (real + fake) / 2
            slope = kzoo.grad(lambda z: ops.sum(self.critic(z)))(middle)
            penalty = ops.mean((ops.sqrt(ops.sum(slope**2, axis=-1) + 1e-12) - 1.0) ** 2)
            return ops.mean(self.critic(fake)) - ops.mean(self.critic(real)) + 10.0 * penalty

        gradient_at = kzoo.value_and_grad(critic_loss, variables)
        loss, gradients = gradient_at()
        # Sharpness-aware minimisation: the gradient is taken where the loss nearby is highest.
        norm = ops.sqrt(sum(ops.sum(g**2) for g in gradients)) + 1e-12
        before = [ops.copy(variable) for variable in variables]
        for variable, gradient in zip(variables, gradients):
            variable.assign_add(0.05 * gradient / norm)
        _, gradients = gradient_at()
        for variable, value in zip(variables, before):
            variable.assign(value)
        self.optimizers["critic"].apply(gradients, variables)
        generator_loss = self.minimize(
            lambda: -ops.mean(self.critic(self.generator(noise))),
            self.generator.trainable_variables,
            "generator",
        )
        return {"critic_loss": loss, "generator_loss": generator_loss}


@keras.saving.register_keras_serializable("tests")
class NoisyGAN(kzoo.Learner):
    """A GAN with batch norm, dropout and noise drawn inside: everything a resumed run must get right."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.critic = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(16, activation="leaky_relu"),
                layers.Dropout(0.3),
                layers.Dense(1),
            ]
        )
        self.generator = keras.Sequential(
            [keras.Input((2,)), layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dense(4)]
        )
        self.noise = keras.random.SeedGenerator(3)

    def call(self, z, training=False):
        return self.generator(z, training=training)

    def _draw(self, n):
        return self.generator(keras.random.normal((n, 2), seed=self.noise), training=True)

    def update(self, real):
        n = ops.shape(real)[0]

        def critic_loss():
            real_score, fake_score = (
                self.critic(real, training=True),
                self.critic(self._draw(n), training=True),
            )
            return ops.mean(ops.softplus(-real_score)) + ops.mean(ops.softplus(fake_score))

        def generator_loss():
            return ops.mean(ops.softplus(-self.critic(self._draw(n), training=True)))

        return {
            "critic_loss": self.minimize(critic_loss, self.critic.trainable_variables, "critic"),
            "generator_loss": self.minimize(generator_loss, self.generator.trainable_variables, "generator"),
        }

    def evaluate_step(self, real):
        return {"score": ops.mean(self.critic(real))}


def compiled_gan(kind=NoisyGAN, **kwargs):
    learner = kind()
    set_weights_by_rule(learner)
    learner.compile(
        optimizers={
            "critic": keras.optimizers.Adam(2e-3),
            "generator": keras.optimizers.Adam(1e-3, beta_1=0.5),
        },
        **kwargs,
    )
    return learner


def state_of(model):
    """Every number that training changes."""
    return [
        np.asarray(variable.numpy(), "float64") for variable in [*model.variables, *model.optimizer.variables]
    ]


def largest_difference(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))
