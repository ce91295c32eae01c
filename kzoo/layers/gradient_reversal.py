"""Gradient reversal: what comes after it is fought by what comes before it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class GradientReversal(keras.Layer):
    """Returns its input and multiplies the gradient by `-scale`.

    Ganin and Lempitsky (2015), Unsupervised Domain Adaptation by Backpropagation, arXiv:1409.7495 (and Ganin et al.,
    arXiv:1505.07818): between the features and a classifier of domains, the features learn to fool it. Gradients of
    gradients are those of the map x ↦ −scale · x.

    The scale is also a variable, `layer.scale`, saved with the weights, so that a callback can let it grow, as the
    paper does: `layer.scale.assign(2 / (1 + math.exp(-10 * progress)) - 1)`.

    Args:
        scale: λ of the paper, at least 0.
    """

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        if isinstance(scale, bool) or not isinstance(scale, int | float) or scale < 0:
            raise ValueError(
                f"scale must be a number, at least 0: the minus is the layer's. Received: scale={scale!r}"
            )
        self._scale = scale
        self.supports_masking = True

    def build(self, input_shape):
        self.scale = self.add_weight(
            (), keras.initializers.Constant(self._scale), trainable=False, autocast=False, name="scale"
        )
        self.built = True

    def call(self, inputs):
        scale = ops.cast(self.scale.value, inputs.dtype)
        constant = ops.stop_gradient(inputs)
        # The difference is exactly zero: the value is the input's to the last bit.
        return constant - scale * (inputs - constant)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"scale": self._scale}
