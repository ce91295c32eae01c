"""Sharpness-aware minimisation: a step down the gradient taken at the worst point nearby."""

import keras
from keras import ops

from kzoo import autodiff
from kzoo.learner import Learner


@keras.saving.register_keras_serializable("kzoo")
class SharpnessAware(Learner):
    """Trains a model by SAM: ε = ρ g / ‖g‖, and the optimizer's step from w along the gradient at w + ε.

    ```python
    learner = SharpnessAware(model, rho=0.05)
    learner.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss="sparse_categorical_crossentropy", metrics=[…])
    learner.fit(x, y)
    ```

    The model inside holds the trained weights; `predict`, `evaluate` and saving work on the learner too. A step costs
    two forward and two backward passes. The statistics of batch normalisation are those of the first, at w.

    Source: Foret et al. (2021), arXiv:2010.01412; adaptive: Kwon et al. (2021), arXiv:2102.11600, with ρ about ten
    times larger.

    Args:
        model: a built model.
        rho: ρ, the radius of the neighbourhood; the paper takes 0.05 for CIFAR-10 and 0.1 for CIFAR-100.
        adaptive: whether the neighbourhood is scaled by |w|: ε = ρ w² g / ‖|w| g‖.
    """

    logs_compiled = True

    def __init__(self, model, rho=0.05, adaptive=False, **kwargs):
        super().__init__(**kwargs)
        if not rho > 0:
            raise ValueError(f"rho must be above 0. Received: rho={rho!r}")
        self.model, self.rho, self.adaptive = model, rho, adaptive

    def call(self, x, training=False):
        return self.model(x, training=training)

    def optimizer_targets(self, name):
        return self.model.trainable_variables

    def update(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.model.trainable_variables

        def loss():
            predicted = self.model(x, training=True)
            return self.compute_loss(x, y, predicted, weights), predicted

        (value, predicted), gradients = autodiff.value_and_grad(loss, variables, has_aux=True)()
        before = [ops.copy(v) for v in variables]
        for variable, old, step in zip(variables, before, self._ascent(before, gradients)):
            variable.assign(old + step)
        state = [(v, ops.copy(v)) for v in self.model.non_trainable_weights]
        _, gradients = autodiff.value_and_grad(loss, variables, has_aux=True)()
        for variable, old in [*zip(variables, before), *state]:
            variable.assign(old)
        self.optimizers["default"].apply(gradients, variables)
        return self.compiled_logs(value, x, y, predicted, weights)

    def _ascent(self, weights, gradients):
        scales = [ops.abs(w) if self.adaptive else ops.ones_like(w) for w in weights]
        square = sum(ops.sum(ops.square(scale * g)) for scale, g in zip(scales, gradients))
        factor = self.rho / ops.sqrt(square + 1e-24)
        return [ops.cast(factor, g.dtype) * scale * scale * g for scale, g in zip(scales, gradients)]

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        return {"model": model, "rho": self.rho, "adaptive": self.adaptive, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})
