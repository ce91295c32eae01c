"""Capsules: groups of units whose length says whether something is there and whose direction says how.

Sabour et al. (2017), Dynamic Routing Between Capsules, arXiv:1710.09829.
Shapes: b batch, i input capsules, j output capsules, d dim of an input capsule, e of an output capsule.
"""

import keras
from keras import ops

from kzoo.layers.arguments import check_rank, check_whole


def squash(x):
    """Vectors along the last axis with length l brought to l² / (1 + l²), their direction kept (equation 1).

    Zero vectors stay zero, with a gradient of zero.
    """
    squared = ops.sum(ops.square(_wide(x)), axis=-1, keepdims=True)
    factor = squared / (1.0 + squared) / ops.sqrt(squared + keras.config.epsilon())
    return x * ops.cast(factor, x.dtype)


def _wide(x):
    """In float32 at least: half precision has no number small enough to keep a root's gradient finite at zero."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


@keras.saving.register_keras_serializable("kzoo")
class PrimaryCapsules(keras.Layer):
    """A convolution whose channels are read as capsules: `(b, h, w, c)` to `(b, h' · w' · num_capsules, dim)`.

    The paper's: 32 capsules of 8 at each place, kernel 9, stride 2, on 256 channels.

    Args:
        num_capsules: capsules at each place.
        dim: of a capsule.
        kernel_size: of the convolution.
        strides: of the convolution.
        padding: of the convolution.
    """

    def __init__(self, num_capsules=32, dim=8, kernel_size=9, strides=2, padding="valid", **kwargs):
        super().__init__(**kwargs)
        check_whole(num_capsules=num_capsules, dim=dim)
        self.num_capsules = num_capsules
        self.dim = dim
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.convolution = keras.layers.Conv2D(
            num_capsules * dim,
            kernel_size,
            strides,
            padding,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="convolution",
        )

    def build(self, input_shape):
        check_rank(input_shape, 4, "images of shape (b, h, w, c) with a known c")
        self.convolution.build(input_shape)
        self.built = True

    def call(self, inputs):
        x = self.convolution(inputs)  # (b, h', w', num_capsules · dim)
        _, h, w, _ = ops.shape(x)
        return squash(ops.reshape(x, (-1, h * w * self.num_capsules, self.dim)))

    def compute_output_shape(self, input_shape):
        b, h, w, _ = self.convolution.compute_output_shape(input_shape)
        return (b, None if h is None or w is None else h * w * self.num_capsules, self.dim)

    def multiply_adds(self, input_shape):
        """Of one image."""
        _, h, w, filters = self.convolution.compute_output_shape(input_shape)
        return (
            h
            * w
            * filters
            * self.convolution.kernel.shape[0]
            * self.convolution.kernel.shape[1]
            * input_shape[-1]
        )

    def get_config(self):
        names = ("num_capsules", "dim", "kernel_size", "strides", "padding")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("kzoo")
class Capsules(keras.Layer):
    """Capsules that each input capsule sends its prediction to, routed by agreement: `(b, i, d)` to `(b, j, e)`.

    Procedure 1 of the paper: each input predicts each output, û = W u; coupling coefficients are a softmax over
    outputs of logits that start at 0 and grow by û·v in each iteration; outputs v are the squashed sums.

    Args:
        num_capsules: j, such as the number of classes.
        dim: e, of an output capsule.
        routing: number of iterations, at least 1.
        routing_gradient: whether gradients also flow through the coupling coefficients. By default they are
            constants, as in most implementations: only the last sum is differentiated.
        kernel_initializer: of the predictions' matrices. The paper gives none; this is a normal with deviation 0.1.
    """

    def __init__(
        self, num_capsules, dim=16, routing=3, routing_gradient=False, kernel_initializer=None, **kwargs
    ):
        super().__init__(**kwargs)
        check_whole(num_capsules=num_capsules, dim=dim, routing=routing)
        self.num_capsules = num_capsules
        self.dim = dim
        self.routing = routing
        self.routing_gradient = routing_gradient
        self.kernel_initializer = keras.initializers.get(
            keras.initializers.RandomNormal(stddev=0.1) if kernel_initializer is None else kernel_initializer
        )

    def build(self, input_shape):
        check_rank(input_shape, 3, "capsules of shape (b, i, d) with known i and d")
        _, i, d = input_shape
        if i is None:
            raise ValueError(
                f"every input capsule has weights: their number must be known. Received: input_shape={input_shape}"
            )
        self.kernel = self.add_weight(
            (i, d, self.num_capsules * self.dim), self.kernel_initializer, name="kernel"
        )
        self.built = True

    def call(self, inputs):
        i = inputs.shape[1]
        # One matrix product per input capsule.
        predictions = ops.matmul(ops.transpose(inputs, (1, 0, 2)), self.kernel)  # (i, b, j e)
        predictions = ops.reshape(predictions, (i, -1, self.num_capsules, self.dim))
        predictions = ops.transpose(predictions, (1, 2, 0, 3))  # (b, j, i, e)
        agreed = predictions if self.routing_gradient else ops.stop_gradient(predictions)
        logits, outputs = 0.0, None
        for iteration in range(self.routing):
            sent = predictions if iteration == self.routing - 1 else agreed
            if iteration == 0:  # all logits are equal
                summed = ops.sum(sent, axis=2, keepdims=True) / self.num_capsules
            else:
                logits = logits + ops.matmul(agreed, ops.transpose(outputs, (0, 1, 3, 2)))  # (b, j, i, 1)
                couplings = ops.softmax(logits, axis=1)
                summed = ops.matmul(ops.transpose(couplings, (0, 1, 3, 2)), sent)
            outputs = squash(summed)  # (b, j, 1, e)
        return ops.squeeze(outputs, 2)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsules, self.dim)

    def multiply_adds(self, input_shape):
        """Of one example: the predictions, a sum in each iteration and an agreement in all but the last."""
        _, i, d = input_shape
        return i * self.num_capsules * self.dim * (d + 2 * self.routing - 1)

    def get_config(self):
        names = ("num_capsules", "dim", "routing", "routing_gradient")
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {name: getattr(self, name) for name in names}
        return super().get_config() | own | {"kernel_initializer": initializer}


@keras.saving.register_keras_serializable("kzoo")
class CapsuleLength(keras.Layer):
    """Lengths of capsules, the scores of their classes: `(..., j, e)` to `(..., j)`, safe at zero."""

    def call(self, inputs):
        squared = ops.sum(ops.square(_wide(inputs)), axis=-1)
        return ops.cast(ops.sqrt(squared + keras.config.epsilon() ** 2), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


@keras.saving.register_keras_serializable("kzoo")
class CapsuleMask(keras.Layer):
    """Keeps the capsule with the highest score and sets the others to zero: `[(b, j, e), (b, j)]` to `(b, j · e)`.

    Scores are the lengths, to reconstruct from what the network sees, or one-hot labels, from what is there
    (section 4.1 of the paper).
    """

    def call(self, inputs):
        capsules, scores = inputs
        _, j, e = capsules.shape
        kept = ops.one_hot(ops.argmax(scores, axis=-1), j, dtype=capsules.dtype)
        return ops.reshape(capsules * ops.expand_dims(kept, -1), (-1, j * e))

    def compute_output_shape(self, input_shape):
        (b, j, e), _ = input_shape
        return (b, j * e)
