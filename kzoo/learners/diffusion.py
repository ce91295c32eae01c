"""Diffusion: a network learns what noise was added to images, and images come of noise by taking it away in steps."""

import keras
import numpy as np
from keras import ops

from kzoo.backend.state import tensorflow_left_out
from kzoo.layers.arguments import check_choice, check_rate, check_whole
from kzoo.learner import Learner
from kzoo.learners import generated
from kzoo.learners.denoiser import Denoiser
from kzoo.ops import diffusion

TARGETS = ("velocity", "noise")


@keras.saving.register_keras_serializable("kzoo")
class Diffusion(Learner):
    """Trains a U-Net to see the noise in images, and draws images with it.

    ```python
    unet = kzoo.create_model("diffusion_unet_small", image_shape=(28, 28, 1), num_classes=10)
    learner = kzoo.learners.Diffusion(unet)
    learner.compile(keras.optimizers.Adam(1e-3))
    learner.fit(images, labels)  # between 0 and 1
    learner.sample(10, labels=range(10), guidance=2.0)
    ```

    The loss is the mean square error of the network's guess: of the noise in equation 14 of Ho et al. (2020,
    arXiv:2006.11239), of the velocity in section 4 of Salimans and Ho (2022, arXiv:2202.00512). `average` is a second
    network whose weights follow the first one's as a moving mean; it draws the images, and is what to export. A share
    of the labels is replaced by "none", so that the network knows images without a class too, as guidance needs it (Ho
    and Salimans 2022, arXiv:2207.12598).

    `fit` takes images, images and labels, or a dictionary with `"images"` and what is otherwise drawn: `"times"`
    `(b,)` and `"noise"` in the images' shape. Without classes labels are not used.

    Args:
        model: as `kzoo.models.generative.diffusion_unet` makes it.
        schedule: `"cosine"` or `"linear"`.
        steps: t, of the schedule.
        target: what the network guesses: `"velocity"`, which says something of the image in pure noise too, or
            `"noise"`, which after a short training draws images of noise.
        label_dropout: share of the labels that is replaced.
        ema_momentum: of the moving mean. In the first steps n it is (1 + n) / (10 + n), if that is less.
        latents: a `LatentSpace`, on whose codes the network then works. Its target should be the velocity: there is no
            range that what is guessed from pure noise could be cut to.
        seed: of times, noise and dropped labels.
    """

    def __init__(
        self,
        model,
        *,
        schedule="cosine",
        steps=1000,
        target="velocity",
        label_dropout=0.1,
        ema_momentum=0.999,
        latents=None,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice(diffusion.SCHEDULES, schedule=schedule)
        check_choice(TARGETS, target=target)
        check_whole(steps=steps)
        check_rate(label_dropout=label_dropout, ema_momentum=ema_momentum)
        if not isinstance(getattr(model, "input", None), dict) or not {"images", "times"} <= set(model.input):
            raise ValueError(
                'Diffusion needs a model that takes {"images", "times"}, such as diffusion_unet. '
                f"Received: model={model!r}"
            )
        self.model = model
        with tensorflow_left_out():  # a clone is made of the configuration
            self.average = keras.models.clone_model(model)
        self.average.set_weights(model.get_weights())
        self.average.trainable = False
        self.schedule, self.steps, self.target = schedule, steps, target
        self.label_dropout, self.ema_momentum = label_dropout, ema_momentum
        self.latents, self.seed = latents, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.none = model.get_layer("label_embedding").input_dim - 1 if "labels" in model.input else None
        self._signal = diffusion.signal_of(diffusion.SCHEDULES[schedule](steps))
        self._denoiser = Denoiser(self.average, self._signal, target, self.none, clip=latents is None)

    def call(self, inputs, training=False):
        return self.average(inputs, training=training)

    def optimizer_targets(self, name):
        return self.model.trainable_variables

    def fit(self, x=None, y=None, **kwargs):
        generated.check_data(x, y, self.model, self.none)
        return super().fit(x, y, **kwargs)

    # ------------------------------------------------------------------ training

    def update(self, data):
        inputs, target, weights = self._task(data, self.label_dropout)
        value = self.minimize(
            lambda: self._loss(self.model(inputs, training=True), target, weights),
            self.model.trainable_variables,
        )
        generated.follow(self.average, self.model, self.ema_momentum, self.optimizers["default"].iterations)
        return {"loss": value}

    def evaluate_step(self, data):
        inputs, target, weights = self._task(data, 0.0)
        return {"loss": self._loss(self.average(inputs, training=False), target, weights)}

    def _task(self, data, label_dropout):
        """What the network is given, what it should say, and how much that counts."""
        x, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        given = dict(x) if isinstance(x, dict) else {"images": x}
        images = self.encoded(given["images"])
        b = ops.shape(images)[0]
        noise, times = given.get("noise"), given.get("times")
        if noise is None:
            noise = keras.random.normal(ops.shape(images), dtype=images.dtype, seed=self.seed_generator)
        if times is None:
            drawn = ops.floor(keras.random.uniform((b,), 0, self.steps, seed=self.seed_generator))
            times = ops.minimum(ops.cast(drawn, "int32"), self.steps - 1)
        times = ops.cast(times, "int32")
        signal = ops.take(ops.convert_to_tensor(self._signal, images.dtype), times)
        signal = ops.reshape(signal, (-1, 1, 1, 1))
        inputs = {"images": diffusion.noised(images, noise, signal), "times": times}
        if self.none is not None:
            inputs["labels"] = self._labels(given.get("labels", labels), b, label_dropout)
        target = noise if self.target == "noise" else diffusion.velocity(images, noise, signal)
        return inputs, target, weights

    def _labels(self, labels, b, label_dropout):
        if labels is None:
            raise ValueError(f"{self.model.name} has classes: give fit labels too. Received: labels=None")
        labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
        if not label_dropout:
            return labels
        dropped = keras.random.uniform((b,), seed=self.seed_generator) < label_dropout
        return ops.where(dropped, self.none, labels)

    @staticmethod
    def _loss(guess, target, weights):
        squares = ops.mean(ops.square(ops.cast(guess, target.dtype) - target), axis=(1, 2, 3))
        if weights is not None:
            squares = squares * ops.cast(weights, squares.dtype)
        return ops.mean(squares)

    # ------------------------------------------------------------------ images and codes

    def encoded(self, images):
        """Images between 0 and 1 as the network sees them: between -1 and 1, or their codes."""
        images = ops.cast(images, keras.config.floatx())
        return 2.0 * images - 1.0 if self.latents is None else self.latents.encode(images)

    def decoded(self, x):
        """The reverse, in NumPy."""
        if self.latents is None:
            return np.clip((np.asarray(x) + 1) / 2, 0, 1)
        return self.latents.decode(x)

    # ------------------------------------------------------------------ drawing images

    def sample(
        self,
        count,
        labels=None,
        steps=50,
        sampler="ddim",
        eta=0.0,
        guidance=1.0,
        seed=0,
        batch_size=64,
    ):
        """Draws images: NumPy `(count, h, w, c)`, between 0 and 1.

        Image i of a seed begins with the same noise on every engine, however many are drawn.

        Args:
            count: of images.
            labels: the class of each, or one for all; `None` for images of no class in particular.
            steps: at how many times the network is asked.
            sampler: `"ddim"`, which takes large steps well, or `"ddpm"`.
            eta: of DDIM: 0 draws nothing but the first noise, 1 as much as DDPM.
            guidance: g in `none + g (class - none)`, of the network's guesses: 1 for the class as it was learnt, 0 for
                none, more for images that show it more clearly and vary less.
            seed: of the noise.
            batch_size: how many are drawn at once.
        """
        options = dict(steps=steps, sampler=sampler, eta=eta, guidance=guidance, seed=seed)
        return self.film(count, labels, 1, batch_size=batch_size, **options)[0]

    def film(self, count, labels=None, frames=8, **options):
        """As `sample`, with its options, at several moments: `(frames, count, h, w, c)`, the last ones finished."""
        usual = dict(steps=50, sampler="ddim", eta=0.0, guidance=1.0, seed=0, batch_size=64)
        return np.stack(
            [self.decoded(x) for x in self._denoiser.draw(count, labels, frames, **usual | options)]
        )

    # ------------------------------------------------------------------ saving

    def get_config(self):
        names = ("schedule", "steps", "target", "label_dropout", "ema_momentum", "seed", "name")
        parts = {part: getattr(self, part) for part in ("model", "latents")}
        saved = {part: value and keras.saving.serialize_keras_object(value) for part, value in parts.items()}
        return {name: getattr(self, name) for name in names} | saved

    @classmethod
    def from_config(cls, config, custom_objects=None):
        made = {
            part: config[part]
            and keras.saving.deserialize_keras_object(config[part], custom_objects=custom_objects)
            for part in ("model", "latents")
        }
        return cls(**config | made)
