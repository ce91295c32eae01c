"""Training of capsule networks: lengths by a margin, directions by painting the image from them."""

import keras
from keras import ops

from kzoo.learner import Learner
from kzoo.losses import CapsuleMargin


@keras.saving.register_keras_serializable("kzoo")
class CapsuleNetwork(Learner):
    """Trains a capsule network on `margin + weight Σ (image - reconstruction)²`, per image.

    ```python
    model = kzoo.create_model("capsnet", image_shape=(28, 28, 1), num_classes=10, reconstruction=True)
    learner = kzoo.learners.CapsuleNetwork(model)
    learner.compile(keras.optimizers.Adam(1e-3))
    learner.fit(x, y, validation_data=(x_test, y_test))
    ```

    The reconstruction is made from the capsule of the true class: the others are masked. Images lie between 0 and 1;
    labels are numbers `(b,)` or one-hot `(b, classes)`. `fit` and `evaluate` log the loss, the margin, the
    reconstruction's sum of squares and the accuracy; `predict` gives the lengths. The model inside holds the weights.

    Source: Sabour, Frosst and Hinton (2017), arXiv:1710.09829, sections 3 and 4.1.

    Args:
        model: made with `reconstruction=True`.
        reconstruction_weight: of the sum of squares; the paper's keeps it from dominating the margin.
    """

    def __init__(self, model, reconstruction_weight=0.0005, **kwargs):
        super().__init__(**kwargs)
        names = {layer.name for layer in model.layers}
        if not {"head", "lengths", "longest", "decoder"} <= names:
            raise ValueError(
                "CapsuleNetwork needs a capsnet made with reconstruction=True. "
                f"Received: model={model.name!r} with layers {sorted(names)}"
            )
        if not reconstruction_weight >= 0:
            raise ValueError(
                f"reconstruction_weight must be 0 or more. Received: reconstruction_weight={reconstruction_weight}"
            )
        self.model = model
        self.reconstruction_weight = reconstruction_weight
        self.encoder = keras.Model(model.input, model.get_layer("head").output)
        self.margin = CapsuleMargin(reduction=None)

    def call(self, x, training=False):
        return self.model.get_layer("lengths")(self.encoder(x, training=training))

    def update(self, data):
        def loss():
            logs = self._computed(data, training=True)
            return logs["loss"], logs

        _, logs = self.minimize(loss, self.model.trainable_variables, has_aux=True)
        return logs

    def evaluate_step(self, data):
        return self._computed(data, training=False)

    def _computed(self, data, training):
        """The logs of one batch."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        capsules = self.encoder(x, training=training)  # (b, j, e)
        lengths = self.model.get_layer("lengths")(capsules)
        labels = self._one_hot(y, lengths.shape[-1])
        true = self.model.get_layer("longest")([capsules, labels])
        image = self.model.get_layer("decoder")(true, training=training)
        margin = self.margin(labels, lengths)
        squares = ops.sum(
            ops.square(ops.cast(image, margin.dtype) - ops.cast(x, margin.dtype)), axis=(1, 2, 3)
        )
        losses = margin + self.reconstruction_weight * squares
        if weights is not None:
            losses = losses * ops.cast(weights, losses.dtype)
        right = ops.equal(ops.argmax(lengths, axis=-1), ops.argmax(labels, axis=-1))
        logs = {"loss": losses, "margin": margin, "reconstruction": squares, "accuracy": right}
        return {name: ops.mean(ops.cast(values, losses.dtype)) for name, values in logs.items()}

    @staticmethod
    def _one_hot(y, num_classes):
        if len(y.shape) == 2 and y.shape[-1] == num_classes:
            return y
        return ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), num_classes)

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        return {"model": model, "reconstruction_weight": self.reconstruction_weight, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})
