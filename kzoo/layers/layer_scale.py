"""Layer scale: a residual branch's channels are scaled by learned numbers that begin near zero."""

import keras

from kzoo.layers.arguments import check_positive


@keras.saving.register_keras_serializable("kzoo")
class LayerScale(keras.Layer):
    """Multiplies each channel by a number that is learned: `x · diag(λ)`.

    For the end of a residual branch: `x + LayerScale()(branch(x))`, so that a deep network begins near the identity.
    Touvron et al. (2021), Going Deeper with Image Transformers, arXiv:2103.17239.

    Any shape `(b, ..., c)` to the same shape, channels last.

    Args:
        value: what the numbers begin with: 0.1 in the paper for up to 18 layers, 1e-5 for 24 and 1e-6 for more.
    """

    def __init__(self, value=1e-6, **kwargs):
        super().__init__(**kwargs)
        check_positive(value=value)
        self.value = value
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"LayerScale needs a known number of channels. Received: input_shape={tuple(input_shape)}"
            )
        initializer = keras.initializers.Constant(self.value)
        self.scale = self.add_weight((input_shape[-1],), initializer, name="scale")
        self.built = True

    def call(self, inputs):
        return inputs * keras.ops.cast(self.scale, inputs.dtype)

    def multiply_adds(self, input_shape):
        return 0  # one multiplication per value, as in a normalisation

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"value": self.value}
