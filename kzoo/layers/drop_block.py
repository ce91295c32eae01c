"""DropBlock: square regions of a feature map are dropped in training."""

import keras
from keras import ops

from kzoo.layers.arguments import check_rank, check_rate, check_whole


@keras.saving.register_keras_serializable("kzoo")
class DropBlock2D(keras.Layer):
    """Sets squares of `block_size` × `block_size` to zero in training, and scales what is left to the same sum.

    Ghiasi et al. (2018), DropBlock, arXiv:1810.12890. Squares' centres are drawn, where the whole square lies in the
    map, with probability

        γ = rate / block_size² · h w / ((h − block_size + 1) (w − block_size + 1))

    so that about `rate` of the units are dropped (a little fewer where squares overlap); the result is multiplied by
    the number of units over the number that are kept.

    `(b, h, w, c)` to the same shape. A map smaller than the block is dropped by blocks of its own size.

    The rate is also a variable, `layer.rate`, so that a callback can let it grow, as the paper does linearly from 0:
    `layer.rate.assign(0.1 * epoch / epochs)`. It is saved with the weights.

    Args:
        rate: the share of units to drop.
        block_size: side of the squares, in units.
        per_channel: whether each channel has squares of its own, which the paper found better, or all the same.
        seed: of the draws.
    """

    def __init__(self, rate=0.1, block_size=7, per_channel=True, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_rate(rate=rate)
        check_whole(block_size=block_size)
        self._rate = rate
        self.block_size = block_size
        self.per_channel = per_channel
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        check_rank(input_shape, 4, "images of shape (b, h, w, c)")
        if None in tuple(input_shape)[1:3]:
            raise ValueError(
                f"DropBlock2D needs a fixed image size. Received: input_shape={tuple(input_shape)}"
            )
        self.rate = self.add_weight(
            (), keras.initializers.Constant(self._rate), trainable=False, autocast=False, name="rate"
        )
        self.built = True

    def call(self, inputs, training=None):
        if not training:
            return inputs
        _, h, w, c = inputs.shape
        tall, wide = min(self.block_size, h), min(self.block_size, w)
        rows, columns = h - tall + 1, w - wide + 1
        gamma = ops.cast(self.rate.value, "float32") * (h * w / (tall * wide * rows * columns))
        shape = (ops.shape(inputs)[0], rows, columns, c if self.per_channel else 1)
        seeds = ops.cast(
            keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) < gamma, "float32"
        )
        # A seed at the corner of its square: the window that ends at a unit holds all squares that cover it.
        seeds = ops.pad(seeds, ((0, 0), (tall - 1, tall - 1), (wide - 1, wide - 1), (0, 0)))
        kept = 1.0 - ops.max_pool(
            seeds, (tall, wide), strides=1, padding="valid", data_format="channels_last"
        )
        share = ops.maximum(ops.mean(kept), 1.0 / (h * w))  # all dropped: zeros, not a division by zero
        return inputs * ops.cast(kept / share, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"rate": self._rate, "block_size": self.block_size, "per_channel": self.per_channel}
        return super().get_config() | own | {"seed": self.seed}
