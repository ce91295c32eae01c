"""Coordinates as sines and cosines, so that a dense network can learn fine detail of images and scenes."""

import math

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_positive, check_whole


def _check_coordinates(input_shape):
    if len(input_shape) < 2 or input_shape[-1] is None:
        raise ValueError(
            f"the number of coordinates must be known. Received: input_shape={tuple(input_shape)}"
        )


@keras.saving.register_keras_serializable("kzoo")
class FourierFeatures(keras.Layer):
    """Gives `[cos(2π B v), sin(2π B v)]` for coordinates v, with B drawn once: `(..., d)` to `(..., 2 · num_features)`.

    Tancik et al. (2020), Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains,
    arXiv:2006.10739. B is Gaussian with deviation `scale`, saved with the weights. Coordinates are in [0, 1).

    Args:
        num_features: number of frequencies.
        scale: deviation of the frequencies: too small blurs, too large gives noise; the paper's images have 10.
        trainable_frequencies: whether B is trained too.
        seed: of B.
    """

    def __init__(self, num_features=256, scale=10.0, trainable_frequencies=False, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_whole(num_features=num_features)
        check_positive(scale=scale)
        self.num_features = num_features
        self.scale = scale
        self.trainable_frequencies = trainable_frequencies
        self.seed = seed

    def build(self, input_shape):
        _check_coordinates(input_shape)
        self.frequencies = self.add_weight(
            (input_shape[-1], self.num_features),
            keras.initializers.RandomNormal(stddev=self.scale, seed=self.seed),
            trainable=self.trainable_frequencies,
            name="frequencies",
        )
        self.built = True

    def call(self, inputs):
        angles = ops.matmul(inputs, ops.cast(self.frequencies, inputs.dtype)) * (2 * math.pi)
        return ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.num_features)

    def get_config(self):
        names = ("num_features", "scale", "trainable_frequencies", "seed")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("kzoo")
class FrequencyEncoding(keras.Layer):
    """Gives `sin(2ᵏ π v), cos(2ᵏ π v)` for k < `num_frequencies`: `(..., d)` to `(..., 2 · num_frequencies · d)`.

    Mildenhall et al. (2020), NeRF, arXiv:2003.08934, equation 4; there 10 frequencies for places and 4 for
    directions, of coordinates in [-1, 1]. First all sines by frequency, then all cosines.

    Args:
        num_frequencies: powers of two.
        include_input: whether the coordinates come first, as they are; then there are d more outputs.
    """

    def __init__(self, num_frequencies=10, include_input=False, **kwargs):
        super().__init__(**kwargs)
        check_whole(num_frequencies=num_frequencies)
        self.num_frequencies = num_frequencies
        self.include_input = include_input

    def build(self, input_shape):
        _check_coordinates(input_shape)
        self.built = True

    def call(self, inputs):
        # The frequencies of all coordinates as one matrix, (d, num_frequencies · d).
        d = inputs.shape[-1]
        matrix = np.kron(math.pi * 2.0 ** np.arange(self.num_frequencies), np.eye(d))
        angles = ops.matmul(inputs, ops.convert_to_tensor(matrix, inputs.dtype))
        parts = [inputs] if self.include_input else []
        return ops.concatenate([*parts, ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape):
        *others, d = input_shape
        return (*others, d * (2 * self.num_frequencies + self.include_input))

    def get_config(self):
        own = {"num_frequencies": self.num_frequencies, "include_input": self.include_input}
        return super().get_config() | own
