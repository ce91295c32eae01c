"""Gradients of length one: only their direction counts."""

import keras
from keras import ops

from kzoo.optimizers.wrapped import Wrapped


@keras.saving.register_keras_serializable("kzoo")
class NormalizedGradient(Wrapped):
    """Divides the gradients by their norm before the optimizer inside sees them: g / (‖g‖ + ε).

    The step then depends on the learning rate alone: neither vanishing nor exploding gradients change its length
    (Hazan et al. 2015, arXiv:1507.02030). Clipping, which only shortens, is Keras's: `clipnorm`, `clipvalue` and
    `global_clipnorm` of every optimizer.

    Args:
        optimizer: the optimizer inside, or its name. Inside a `LossScaleOptimizer` put this one, not around it.
        per_variable: whether each variable's gradient gets length one (Yu et al. 2017, arXiv:1707.04822), instead of
            all together.
        epsilon: what keeps a gradient of zeros at zero.
        name: its name.
    """

    def __init__(self, optimizer, per_variable=False, epsilon=1e-12, name="normalized_gradient"):
        super().__init__(optimizer, name)
        self.per_variable, self.epsilon = per_variable, epsilon

    def apply(self, grads, trainable_variables=None):
        variables = self.targets(trainable_variables)
        known = [(g, v) for g, v in zip(grads, variables) if g is not None]
        # Dense: an embedding's gradient may be a few rows on TensorFlow.
        grads = [ops.convert_to_tensor(g) for g, _ in known]
        squares = [ops.sum(ops.square(g)) for g in grads]
        if not self.per_variable:
            squares = [sum(squares)] * len(grads)
        # ε stands under the root: that of 0 has no gradient, and this step may be differentiated.
        norms = [ops.sqrt(square + self.epsilon**2) for square in squares]
        self.inner.apply([g / norm for g, norm in zip(grads, norms)], [v for _, v in known])

    def get_config(self):
        return {**super().get_config(), "per_variable": self.per_variable, "epsilon": self.epsilon}
