"""Stochastic depth: whole residual branches are dropped, example by example."""

import keras
from keras import ops

from kzoo.layers.arguments import check_rate


@keras.saving.register_keras_serializable("kzoo")
class DropPath(keras.Layer):
    """Sets an example's whole input to zero with probability `rate` in training, and divides the rest by `1 - rate`.

    For the end of a residual branch: `x + DropPath(0.1)(branch(x))`. Huang et al. (2016), Deep Networks with
    Stochastic Depth, arXiv:1603.09382; there the rate grows linearly from 0 at the first block to its last value,
    and inference multiplies by `1 - rate` instead, which is the same in the mean.

    Any shape `(b, ...)` to the same shape.

    Args:
        rate: the probability of dropping an example's branch.
        seed: of the draws.
    """

    def __init__(self, rate=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_rate(rate=rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        kept = ops.cast(draws >= self.rate, inputs.dtype)
        return inputs * (kept / (1.0 - self.rate))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
