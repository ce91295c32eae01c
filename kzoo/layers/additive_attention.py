"""Additive attention: a small network of a query and a key gives their score.

Bahdanau et al. (2015), Neural Machine Translation by Jointly Learning to Align and Translate, arXiv:1409.0473.
Shapes: b batch, t queries, s keys, q and d their lengths, u units.
"""

import keras
from keras import ops

from kzoo.layers.arguments import check_rank, check_whole
from kzoo.layers.initial_values import fresh
from kzoo.ops import masked_softmax


@keras.saving.register_keras_serializable("kzoo")
class BahdanauAttention(keras.Layer):
    """Means of a sequence, weighted by the softmax of `v · tanh(W query + U key + c)`.

    Queries `(b, q)` or `(b, t, q)` and keys `(b, s, d)` to means `(b, d)` or `(b, t, d)`, and the weights.

    For decoders that attend to an encoder's outputs, one query per step or all at once. A decoder that loops gives
    `projected=attention.projected(key)`, made once for all steps (appendix A.2.2 of the paper).

    Args:
        units: u, of the small network.
        kernel_initializer: of W, U and v.
    """

    def __init__(self, units, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        check_whole(units=units)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, query_shape, key_shape):
        if len(query_shape) not in (2, 3) or query_shape[-1] is None:
            raise ValueError(
                "queries have a shape (b, q) or (b, t, q) with a known q. "
                f"Received: query_shape={tuple(query_shape)}"
            )
        check_rank(key_shape, 3, "a sequence of keys of shape (b, s, d) with a known d")

        def linear(name, inputs, **options):
            options |= {"kernel_initializer": fresh(self.kernel_initializer), "dtype": self.dtype_policy}
            layer = keras.layers.Dense(self.units, name=name, **options)
            layer.build((None, inputs))
            return layer

        self.query_projection = linear("query_projection", query_shape[-1], use_bias=False)
        self.key_projection = linear("key_projection", key_shape[-1])
        self.score = self.add_weight((self.units, 1), fresh(self.kernel_initializer), name="score")
        self.built = True

    def projected(self, key):
        """`U key + c`: `(b, s, u)`."""
        return self.key_projection(key)

    def call(self, query, key, key_mask=None, projected=None):
        """Attends.

        Args:
            query: `(b, q)` or `(b, t, q)`.
            key: `(b, s, d)`.
            key_mask: boolean `(b, s)`, which keys may be seen. Where none may, the mean and the weights are zeros.
            projected: `projected(key)`, if it is at hand.

        Returns:
            The means, `(b, d)` or `(b, t, d)`, and the weights, `(b, s)` or `(b, t, s)`.
        """
        single = len(query.shape) == 2
        queries = self.query_projection(ops.expand_dims(query, 1) if single else query)
        keys = self.projected(key) if projected is None else projected
        hidden = ops.tanh(ops.expand_dims(queries, 2) + ops.expand_dims(keys, 1))  # (b, t, s, u)
        scores = ops.squeeze(ops.matmul(hidden, self.score), axis=-1)
        mask = None if key_mask is None else ops.expand_dims(key_mask, 1)
        weights = ops.cast(masked_softmax(scores, mask), scores.dtype)
        means = ops.matmul(weights, key)
        return (ops.squeeze(means, 1), ops.squeeze(weights, 1)) if single else (means, weights)

    def compute_output_shape(self, query_shape, key_shape):
        return (*query_shape[:-1], key_shape[-1]), (*query_shape[:-1], key_shape[1])

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {"units": self.units, "kernel_initializer": initializer}
