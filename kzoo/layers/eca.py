"""Efficient channel attention: a channel's gate looks at its neighbours only."""

import math

import keras
from keras import ops

from kzoo.layers.arguments import check_positive, check_whole
from kzoo.layers.squeeze_excite import spatial_axes


def adaptive_kernel_size(channels, gamma=2, b=1):
    """The odd number nearest to log₂(channels)/γ + b/γ (equation 12 of arXiv:1910.03151): truncated, then made odd."""
    size = int(abs((math.log2(channels) + b) / gamma))
    return size if size % 2 else size + 1


@keras.saving.register_keras_serializable("kzoo")
class ECA(keras.Layer):
    """Multiplies each channel by the sigmoid of a convolution along the channels' means.

    Wang et al. (2020), ECA-Net, arXiv:1910.03151. The kernel's size grows with the number of channels: 3 for 64, 5
    for 256, 5 for 512. `(b, ..., c)` to the same shape, channels last.

    Args:
        kernel_size: of the convolution along channels, odd; `None` for the paper's formula.
        gamma: of the formula.
        b: of the formula.
    """

    def __init__(self, kernel_size=None, gamma=2, b=1, **kwargs):
        super().__init__(**kwargs)
        if kernel_size is not None:
            check_whole(kernel_size=kernel_size)
            if kernel_size % 2 == 0:
                raise ValueError(f"kernel_size must be odd. Received: kernel_size={kernel_size}")
        check_positive(gamma=gamma)
        self.kernel_size = kernel_size
        self.gamma = gamma
        self.b = b

    def build(self, input_shape):
        if len(input_shape) < 3 or input_shape[-1] is None:
            raise ValueError(
                "ECA needs a known number of channels and at least one spatial axis. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        c = input_shape[-1]
        size = self.kernel_size or adaptive_kernel_size(c, self.gamma, self.b)
        self.convolution = keras.layers.Conv1D(
            1,
            size,
            padding="same",
            use_bias=False,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build((None, c, 1))
        self.built = True

    def call(self, inputs):
        means = ops.mean(inputs, axis=spatial_axes(inputs))  # (b, c)
        gates = ops.sigmoid(self.convolution(ops.expand_dims(means, -1)))  # (b, c, 1)
        shape = (-1, *[1 for _ in spatial_axes(inputs)], inputs.shape[-1])
        return inputs * ops.reshape(gates, shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"kernel_size": self.kernel_size, "gamma": self.gamma, "b": self.b}
