"""Squeeze and excitation: channels weighed by what the whole image shows."""

import keras
from keras import ops

from kzoo.layers.arguments import check_positive


def spatial_axes(x):
    """All axes but the first and the last."""
    return tuple(range(1, len(x.shape) - 1))


@keras.saving.register_keras_serializable("kzoo")
class SqueezeExcite(keras.Layer):
    """Multiplies each channel by `σ(W₂ ReLU(W₁ mean(x)))`, a gate in (0, 1) computed from all channels' means.

    Hu et al. (2018), Squeeze-and-Excitation Networks, arXiv:1709.01507.
    `(b, ..., c)` to the same shape, channels last, with any number of spatial axes.

    Args:
        ratio: channels over hidden units; there is at least one.
        activation: of the hidden units.
        gate: the last activation; MobileNetV3 has `"hard_sigmoid"`.
    """

    def __init__(self, ratio=16, activation="relu", gate="sigmoid", **kwargs):
        super().__init__(**kwargs)
        check_positive(ratio=ratio)
        self.ratio = ratio
        self.activation = keras.activations.get(activation)
        self.gate = keras.activations.get(gate)

    def build(self, input_shape):
        if len(input_shape) < 3 or input_shape[-1] is None:
            raise ValueError(
                "SqueezeExcite needs a known number of channels and at least one spatial axis. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        c = input_shape[-1]
        self.squeeze = keras.layers.Dense(
            max(1, int(c / self.ratio)), self.activation, dtype=self.dtype_policy, name="squeeze"
        )
        self.excite = keras.layers.Dense(c, self.gate, dtype=self.dtype_policy, name="excite")
        self.squeeze.build((None, c))
        self.excite.build((None, self.squeeze.units))
        self.built = True

    def call(self, inputs):
        gates = self.excite(self.squeeze(ops.mean(inputs, axis=spatial_axes(inputs))))  # (b, c)
        for axis in spatial_axes(inputs):
            gates = ops.expand_dims(gates, axis)
        return inputs * gates

    def compute_output_shape(self, input_shape):
        return input_shape

    def multiply_adds(self, input_shape):
        """Of one example."""
        return 2 * self.squeeze.units * input_shape[-1]

    def get_config(self):
        return super().get_config() | {
            "ratio": self.ratio,
            "activation": keras.activations.serialize(self.activation),
            "gate": keras.activations.serialize(self.gate),
        }
