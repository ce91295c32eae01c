"""Training of GANs: a critic that tells generated images from real ones, and a generator that fools it."""

import keras
from keras import layers, ops

from kzoo import autodiff
from kzoo.layers.arguments import check_whole
from kzoo.learner import Learner
from kzoo.learners import generated
from kzoo.losses.adversarial import AdversarialLoss, NonSaturatingGAN


@keras.saving.register_keras_serializable("kzoo")
class AdversarialNetworks(Learner):
    """Trains a generator and its critic by turns, each with an optimizer of its own.

    ```python
    model = kzoo.create_model("dcgan", image_shape=(28, 28, 1), num_classes=10)
    learner = kzoo.learners.AdversarialNetworks(model)
    adam = lambda: keras.optimizers.Adam(2e-4, beta_1=0.5)
    learner.compile(optimizers={"critic": adam(), "generator": adam()})
    learner.fit(x, y)  # a model without classes: fit(x)
    images = learner.sample(10, labels=3)
    ```

    WGAN-GP is `loss=kzoo.losses.WassersteinGAN(), penalty=10.0, critic_steps=5` with a critic without batch norm. Of a
    batch each of the critic's steps takes its own share: give `fit` batches `critic_steps` times as large.

    Images lie between 0 and 1. Logs: `critic_loss` with its penalty, `generator_loss`, and `gradient_penalty` where
    there is one. x may also be a dictionary of `"images"` and what is otherwise drawn here: `"noise"`, `(b, 2, z)`, for
    the critic's steps and for the generator's, and `"mixing"`, `(b,)` in [0, 1], for the penalty.

    Sources: Goodfellow et al. (2014), arXiv:1406.2661; penalty: Gulrajani et al. (2017), arXiv:1704.00028, algorithm 1;
    averaged generator: Yazıcı et al. (2019), arXiv:1806.04498.

    Args:
        model: with layers `generator`, of noise to images between 0 and 1, and `critic`, of images to logits; such as
            `kzoo.create_model("dcgan")`.
        loss: of `kzoo.losses`: `NonSaturatingGAN()` by default, `MinimaxGAN()`, `LeastSquaresGAN()`,
            `WassersteinGAN()` or `HingeGAN()`.
        penalty: λ, the weight of `(‖∇ critic(x)‖ - 1)²` at points between real and generated images; 0 for none.
        critic_steps: of the critic for each of the generator.
        average: if given, samples are made by a moving average of the generator's weights with this decay.
        seed: of the noise.
    """

    def __init__(self, model, loss=None, penalty=0.0, critic_steps=1, average=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        names = {layer.name for layer in model.layers}
        if not {"generator", "critic"} <= names:
            raise ValueError(
                "AdversarialNetworks needs a model with layers generator and critic. "
                f"Received: model={model.name!r} with layers {sorted(names)}"
            )
        loss = NonSaturatingGAN() if loss is None else loss
        if not isinstance(loss, AdversarialLoss):
            raise ValueError(f"loss must be one of kzoo.losses' GAN losses. Received: loss={loss!r}")
        if not penalty >= 0:
            raise ValueError(f"penalty must be 0 or more. Received: penalty={penalty}")
        if average is not None and not 0 < average < 1:
            raise ValueError(f"average must be between 0 and 1, or None. Received: average={average}")
        check_whole(critic_steps=critic_steps)
        self.model, self.penalty, self.critic_steps = model, penalty, critic_steps
        self.adversarial_loss, self.average, self.seed = loss, average, seed
        self.generator, self.critic = model.get_layer("generator"), model.get_layer("critic")
        if penalty:
            _check_norms(self.critic)
        self.num_classes = generated.num_classes_of(self.generator)
        self.noise = keras.random.SeedGenerator(seed)
        self.averaged = None
        if average is not None:
            self.averaged = keras.models.clone_model(self.generator)
            self.averaged.set_weights(self.generator.get_weights())
            self.averaged.trainable = False

    @property
    def sampler(self):
        """The network that makes samples: the averaged generator where there is one."""
        return self.generator if self.averaged is None else self.averaged

    def call(self, x, training=False):
        """Images of noise."""
        return self.sampler(x, training=training)

    def fit(self, x=None, y=None, **kwargs):
        generated.check_data(x, y, self.critic, self.num_classes)
        return super().fit(x, y, **kwargs)

    def sample(self, count, labels=None, seed=0, batch_size=256):
        """Generated images: float32 `(count, h, w, c)` between 0 and 1.

        Args:
            count: how many.
            labels: a class for all or one for each, of a model with classes.
            seed: of the noise; the same draws on every engine.
            batch_size: how many at a time.
        """
        return generated.drawn(self.sampler, count, labels, seed, self.num_classes, batch_size)

    # ------------------------------------------------------------------ the step

    def update(self, data):
        parts = generated.parts_of(data, self.critic)
        steps = self.critic_steps
        shares = [{name: tensor[i::steps] for name, tensor in parts.items()} for i in range(steps)]
        if shares[-1]["images"].shape[0] == 0:
            raise ValueError(
                f"a batch must have an image for each of {steps} critic steps. "
                f"Received: {parts['images'].shape[0]} images"
            )
        logs = [self._critic_step(share) for share in shares]
        logs = {name: sum(each[name] for each in logs) / steps for name in logs[0]}
        logs["generator_loss"] = self._generator_step(shares[0])
        if self.averaged is not None:
            steps = self.optimizers["generator"].iterations
            generated.follow(self.averaged, self.generator, self.average, steps)
        return logs

    def _critic_step(self, share):
        real, labels = ops.cast(share["images"], self.variable_dtype), share.get("labels")
        fake = ops.stop_gradient(self._made(share, 0))

        def loss():
            value = self.adversarial_loss.critic(self._judged(real, labels), self._judged(fake, labels))
            if not self.penalty:
                return value, {"critic_loss": value}
            penalty = self._gradient_penalty(real, fake, share)
            value = value + self.penalty * penalty
            return value, {"critic_loss": value, "gradient_penalty": penalty}

        _, logs = self.minimize(loss, self.critic.trainable_variables, "critic", has_aux=True)
        return logs

    def _generator_step(self, share):
        labels = share.get("labels")

        def loss():
            return self.adversarial_loss.generator(self._judged(self._made(share, 1), labels))

        return self.minimize(loss, self.generator.trainable_variables, "generator")

    def _made(self, share, place):
        """As many generated images as the share has real ones, of the same classes."""
        if "noise" in share:
            noise = share["noise"][:, place]
        else:
            shape = (ops.shape(share["images"])[0], *generated.shape_of(self.generator))
            noise = keras.random.normal(shape, dtype=self.variable_dtype, seed=self.noise)
        inputs = generated.given(self.generator, noise, share.get("labels"))
        return ops.cast(self.generator(inputs, training=True), self.variable_dtype)

    def _judged(self, images, labels):
        return ops.cast(
            self.critic(generated.given(self.critic, images, labels), training=True), self.variable_dtype
        )

    def _gradient_penalty(self, real, fake, share):
        """`mean((‖∇ critic(x)‖ - 1)²)` with x drawn between each real image and a generated one."""
        mixing = share.get("mixing")
        if mixing is None:
            mixing = keras.random.uniform((ops.shape(real)[0],), dtype=self.variable_dtype, seed=self.noise)
        mixing = ops.reshape(ops.cast(mixing, real.dtype), (-1, 1, 1, 1))
        between = mixing * real + (1.0 - mixing) * fake
        slope = autodiff.grad(lambda x: ops.sum(self._judged(x, share.get("labels"))))(between)
        # The root has no slope at 0.
        norm = ops.sqrt(ops.sum(ops.square(slope), axis=(1, 2, 3)) + 1e-12)
        return ops.mean(ops.square(norm - 1.0))

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        loss = keras.saving.serialize_keras_object(self.adversarial_loss)
        names = ("penalty", "critic_steps", "average", "seed", "name")
        return {"model": model, "loss": loss, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("model", "loss")
        }
        return cls(**{**config, **parts})


def _check_norms(critic):
    """Raises a `ValueError` if the critic has a normalisation that a gradient penalty does not go with.

    It is of single images, which batch norm mixes. Layer and group norm take their variance by `ops.moments`, where on
    TensorFlow the mean is a constant to the gradient: right for the first derivative, but not for the second.
    """
    unfit = (layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization)
    found = [
        f"{type(one).__name__} {one.name!r}" for one in critic._flatten_layers() if isinstance(one, unfit)
    ]
    if found:
        raise ValueError(
            "with a gradient penalty batch norm mixes images, and the second derivative of layer and group norm is "
            "not the same on all engines: make the critic with critic_norm=keras.layers.RMSNormalization or None. "
            f"Received: {', '.join(found)}"
        )
