"""A dense layer and an embedding: a matrix product and a look-up."""

import numpy as np

from kzoo.scratch import initializers
from kzoo.scratch.layer import Layer, check_axis


class Dense(Layer):
    """Multiplies by a matrix and adds a bias: `y = x W + b`, `(..., input_dim)` to `(..., units)`.

    Backward, with the leading axes as one batch: `dW = x^T dy`, `db = sum(dy)`, `dx = dy W^T`.

    Args:
        input_dim: the length of the input's last axis.
        units: the length of the output's.
        use_bias: whether `b` is added.
        kernel_initializer: draws `W`.
        seed: a seed or a NumPy generator.
    """

    def __init__(
        self, input_dim, units, use_bias=True, kernel_initializer=initializers.glorot_uniform, seed=None
    ):
        super().__init__()
        self.input_dim, self.units, self.use_bias = input_dim, units, use_bias
        self.parameters["kernel"] = kernel_initializer((input_dim, units), np.random.default_rng(seed))
        if use_bias:
            self.parameters["bias"] = np.zeros(units)

    def forward(self, x, training=False):
        check_axis(self, x, self.input_dim)
        self._kept = x
        y = x @ self.parameters["kernel"]
        return y + self.parameters["bias"] if self.use_bias else y

    def backward(self, dy):
        rows, drows = self._recall().reshape(-1, self.input_dim), dy.reshape(-1, self.units)
        self.gradients["kernel"] = rows.T @ drows
        if self.use_bias:
            self.gradients["bias"] = drows.sum(0)
        return dy @ self.parameters["kernel"].T


class Embedding(Layer):
    """Looks up a row of a table for each index: integers `(...)` to `(..., dim)`.

    Backward adds each row's gradient to where it was taken from; indices have no gradient, so it returns `None`.

    Args:
        vocabulary_size: rows of the table.
        dim: the length of a row.
        embeddings_initializer: draws the table.
        seed: a seed or a NumPy generator.
    """

    def __init__(self, vocabulary_size, dim, embeddings_initializer=initializers.normal, seed=None):
        super().__init__()
        self.vocabulary_size, self.dim = vocabulary_size, dim
        table = embeddings_initializer((vocabulary_size, dim), np.random.default_rng(seed))
        self.parameters["embeddings"] = table

    def forward(self, x, training=False):
        x = np.asarray(x)
        if x.dtype.kind not in "iu" or (x.size and (x.min() < 0 or x.max() >= self.vocabulary_size)):
            raise ValueError(
                f"an embedding looks up integers from 0 to {self.vocabulary_size - 1}. "
                f"Received: x of type {x.dtype}" + (f", {x.min()} to {x.max()}" if x.size else "")
            )
        self._kept = x
        return self.parameters["embeddings"][x]

    def backward(self, dy):
        gradient = np.zeros_like(self.parameters["embeddings"])
        # += would count an index that occurs twice only once.
        np.add.at(gradient, self._recall().ravel(), dy.reshape(-1, self.dim))
        self.gradients["embeddings"] = gradient
