"""Convolutional block attention: first which channels matter, then where.

Woo et al. (2018), CBAM: Convolutional Block Attention Module, arXiv:1807.06521.
"""

import keras
from keras import ops

from kzoo.layers.arguments import check_positive, check_rank, check_whole

IMAGES = "images of shape (b, h, w, c) with a known c"


@keras.saving.register_keras_serializable("kzoo")
class ChannelAttention(keras.Layer):
    """Multiplies each channel by `σ(MLP(mean(x)) + MLP(max(x)))`, with one MLP of one hidden ReLU layer for both.

    `(b, h, w, c)` to the same shape. Equation 2 of arXiv:1807.06521.

    Args:
        ratio: channels over hidden units; there is at least one.
    """

    def __init__(self, ratio=16, **kwargs):
        super().__init__(**kwargs)
        check_positive(ratio=ratio)
        self.ratio = ratio

    def build(self, input_shape):
        check_rank(input_shape, 4, IMAGES)
        c = input_shape[-1]
        hidden_dim = max(1, int(c / self.ratio))
        self.hidden = keras.layers.Dense(hidden_dim, "relu", dtype=self.dtype_policy, name="hidden")
        self.gate = keras.layers.Dense(c, dtype=self.dtype_policy, name="gate")
        self.hidden.build((None, c))
        self.gate.build((None, hidden_dim))
        self.built = True

    def call(self, inputs):
        mean, peak = (pool(inputs, axis=(1, 2), keepdims=True) for pool in (ops.mean, ops.max))
        return inputs * ops.sigmoid(self.gate(self.hidden(mean)) + self.gate(self.hidden(peak)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"ratio": self.ratio}


@keras.saving.register_keras_serializable("kzoo")
class SpatialAttention(keras.Layer):
    """Multiplies each place by `σ(conv([mean(x), max(x)]))`, mean and maximum over the channels.

    `(b, h, w, c)` to the same shape. Equation 3 of arXiv:1807.06521.

    Args:
        kernel_size: of the convolution.
    """

    def __init__(self, kernel_size=7, **kwargs):
        super().__init__(**kwargs)
        check_whole(kernel_size=kernel_size)
        self.kernel_size = kernel_size

    def build(self, input_shape):
        check_rank(input_shape, 4, IMAGES)
        self.convolution = keras.layers.Conv2D(
            1,
            self.kernel_size,
            padding="same",
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build((*input_shape[:-1], 2))
        self.built = True

    def call(self, inputs):
        maps = [pool(inputs, axis=-1, keepdims=True) for pool in (ops.mean, ops.max)]
        return inputs * ops.sigmoid(self._convolved(ops.concatenate(maps, axis=-1)))

    def _convolved(self, maps):
        if self.compute_dtype != "float64":
            return self.convolution(maps)
        # PyTorch has no gradient for a convolution of one filter in float64: the two channels apart, then their sum.
        apart = ops.depthwise_conv(maps, self.convolution.kernel, padding="same", data_format="channels_last")
        return ops.sum(apart, axis=-1, keepdims=True) + self.convolution.bias

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("kzoo")
class CBAM(keras.Layer):
    """Channel attention followed by spatial attention: `(b, h, w, c)` to the same shape.

    Woo et al. (2018), arXiv:1807.06521: for the end of a residual branch, before the addition.

    Args:
        ratio: channels over hidden units of the channel attention.
        kernel_size: of the spatial attention's convolution.
    """

    def __init__(self, ratio=16, kernel_size=7, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.kernel_size = kernel_size
        self.channels = ChannelAttention(ratio, dtype=self.dtype_policy, name="channels")
        self.places = SpatialAttention(kernel_size, dtype=self.dtype_policy, name="places")

    def build(self, input_shape):
        self.channels.build(input_shape)
        self.places.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.places(self.channels(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"ratio": self.ratio, "kernel_size": self.kernel_size}
