"""Non-local block: every place of an image, sequence or video sees every other."""

import math

import keras
from keras import ops

from kzoo.layers.arguments import check_choice, check_whole

SIMILARITIES = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


@keras.saving.register_keras_serializable("kzoo")
class NonLocal(keras.Layer):
    """Adds to each place a weighted mean over all places: `x + W mean_j f(x_i, x_j) g(x_j)`.

    Wang et al. (2018), Non-local Neural Networks, arXiv:1711.07971. The weights `f` are, for embeddings θ and φ:

    - `"embedded_gaussian"`: softmax over j of θ(x_i)·φ(x_j), which is self-attention with one head, not scaled;
    - `"gaussian"`: softmax over j of x_i·x_j;
    - `"dot_product"`: θ(x_i)·φ(x_j) / n, for n places;
    - `"concatenation"`: ReLU(w·[θ(x_i), φ(x_j)]) / n.

    `W` starts at zero, so that the block can be put into a trained network. `(b, ..., c)` to the same shape, channels
    last, with one to three spatial axes. Memory grows with the square of the number of places: the paper's
    `pool_size=2` takes φ and g over a pooled map.

    Args:
        dim: of the embeddings; by default half the channels.
        similarity: one of the four.
        pool_size: of the maximum pooling before φ and g; 1 for none.
    """

    def __init__(self, dim=None, similarity="embedded_gaussian", pool_size=1, **kwargs):
        super().__init__(**kwargs)
        if dim is not None:
            check_whole(dim=dim)
        check_choice(SIMILARITIES, similarity=similarity)
        check_whole(pool_size=pool_size)
        self.dim = dim
        self.similarity = similarity
        self.pool_size = pool_size

    def build(self, input_shape):
        if not 3 <= len(input_shape) <= 5 or input_shape[-1] is None:
            raise ValueError(
                "NonLocal needs a known number of channels and one to three spatial axes. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        c = input_shape[-1]
        dim = self.dim or max(1, c // 2)

        def linear(units, name, inputs=c, **options):
            layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **options)
            layer.build((None, inputs))
            return layer

        self.values = linear(dim, "values")
        self.output_projection = linear(c, "output_projection", dim, kernel_initializer="zeros")
        if self.similarity != "gaussian":
            self.queries = linear(dim, "queries")
            # A softmax over the keys does not see their bias.
            self.keys = linear(dim, "keys", use_bias=self.similarity != "embedded_gaussian")
        if self.similarity == "concatenation":
            # w·[θ, φ] is the sum of a number per query and a number per key.
            self.query_score = linear(1, "query_score", dim, use_bias=False)
            self.key_score = linear(1, "key_score", dim, use_bias=False)
        self.built = True

    def call(self, inputs):
        c = inputs.shape[-1]
        pooled = self._pool(inputs)
        x, y = (
            ops.reshape(inputs, (-1, self._places(inputs), c)),
            ops.reshape(pooled, (-1, self._places(pooled), c)),
        )
        weights = self._weights(x, y)  # (b, n, m)
        context = self.output_projection(ops.matmul(weights, self.values(y)))  # (b, n, c)
        return inputs + ops.reshape(context, ops.shape(inputs))

    def _pool(self, x):
        if self.pool_size == 1:
            return x
        window = (self.pool_size,) * (len(x.shape) - 2)
        return ops.max_pool(x, window, window, padding="same", data_format="channels_last")

    def _places(self, x):
        return math.prod(ops.shape(x)[1:-1])

    def _weights(self, x, y):
        if self.similarity == "gaussian":
            return ops.softmax(ops.matmul(x, ops.transpose(y, (0, 2, 1))), axis=-1)
        queries, keys = self.queries(x), self.keys(y)
        if self.similarity == "concatenation":
            scores = self.query_score(queries) + ops.transpose(self.key_score(keys), (0, 2, 1))
            return ops.relu(scores) / self._places(y)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))
        return (
            ops.softmax(scores, axis=-1)
            if self.similarity == "embedded_gaussian"
            else scores / self._places(y)
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"dim": self.dim, "similarity": self.similarity, "pool_size": self.pool_size}
        return super().get_config() | own
