"""Positions that attention itself knows, for `MultiHeadAttention(position=...)`: rotary, ALiBi, T5's buckets.

What `MultiHeadAttention` asks of such an object are these methods, of which it has those that it needs:

- `rotate(query, key, offset)`: both, `(b, t, n, h)` and `(b, t, m, h)`, changed by the positions that they stand at.
- `bias(query, key, offset, scale)`: what is added to the scaled scores, `(b or 1, n, t, s)`. Of query and key, they
  may need the lengths alone.
- `values(weights, offset)`: what is added to the means of the values, `(b, t, n, h)`, for weights `(b, n, t, s)`.
- `scale(head_dim)`: the factor of all scores, where it is another than `head_dim**-0.5`.

Query i stands at position `offset + i`, and in `bias` and `values` key j at position j. The offset is 0 but when
decoding with a cache, where it may be a scalar tensor. A layer is built for the queries' shape, `(b, t, n, h)`; when it
is given to several attentions, as T5 does with its biases, these share its weights.

More of them, which look up vectors by distance, are in `positions_relative.py`; positions that are added to tokens are
`PositionEmbedding` and `SinePositionEncoding`.
"""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_positive, check_whole
from kzoo.ops.masks import distances
from kzoo.ops.relative import column_distances, relative_shift


@keras.saving.register_keras_serializable("kzoo")
class RotaryPosition(keras.Layer):
    """Turns pairs of a head's features by angles that grow with the position: scores then depend on distances.

    Su et al. (2021), RoFormer, arXiv:2104.09864, section 3.2.2: pair k of d features turns by
    position / max_wavelength^(2k/d). For self-attention. Without weights.

    Args:
        max_wavelength: over 2π, which the slowest pair comes near to.
        interleaved: whether neighbours are pairs, (0, 1), (2, 3) …, as in the paper and in GPT-J; or else the first
            half's features with the second half's, as in GPT-NeoX and Llama.
        dim: d, how many of a head's features turn, from the first; by default all.
    """

    def __init__(self, max_wavelength=10_000.0, interleaved=False, dim=None, **kwargs):
        super().__init__(**kwargs)
        check_positive(max_wavelength=max_wavelength)
        if dim is not None:
            check_whole(dim=dim)
        self.max_wavelength = max_wavelength
        self.interleaved = interleaved
        self.dim = dim

    def build(self, query_shape):
        head_dim = query_shape[-1]
        dim = self.dim or head_dim
        if dim % 2 or dim > head_dim:
            raise ValueError(
                "RotaryPosition turns an even number of a head's features. "
                f"Received: dim={self.dim}, head_dim={head_dim}"
            )
        self._frequencies = self.max_wavelength ** (-np.arange(0, dim, 2) / dim)
        self.built = True

    def rotate(self, query, key, offset=0):
        dtype = keras.backend.standardize_dtype(query.dtype)
        precise = "float64" if dtype == "float64" else "float32"
        positions = ops.cast(ops.arange(ops.shape(query)[1], dtype="int32") + offset, precise)
        angles = ops.expand_dims(positions, 1) * ops.convert_to_tensor(self._frequencies, precise)
        angles = ops.expand_dims(angles, 1)  # (t, 1, d / 2)
        cosines, sines = ops.cast(ops.cos(angles), dtype), ops.cast(ops.sin(angles), dtype)
        return self._turned(query, cosines, sines), self._turned(key, cosines, sines)

    def _turned(self, x, cosines, sines):
        dim = 2 * len(self._frequencies)
        rest = [] if dim == x.shape[-1] else [x[..., dim:]]
        x = x[..., :dim] if rest else x
        first, second = (x[..., ::2], x[..., 1::2]) if self.interleaved else ops.split(x, 2, axis=-1)
        first, second = first * cosines - second * sines, second * cosines + first * sines
        if self.interleaved:
            turned = [ops.reshape(ops.stack([first, second], axis=-1), ops.shape(x))]
        else:
            turned = [first, second]
        return ops.concatenate(turned + rest, axis=-1)

    def get_config(self):
        own = {"max_wavelength": self.max_wavelength, "interleaved": self.interleaved, "dim": self.dim}
        return super().get_config() | own


def alibi_slopes(num_heads):
    """By how much each head's scores fall per place: NumPy `(n,)`.

    2^(-8/n), 2^(-16/n) … for powers of two. For other numbers, as in the paper's code, those of the power of two below
    and then every other one of the power of two above.
    """
    power = 2 ** int(np.log2(num_heads))
    slopes = 2.0 ** (-8.0 / power * np.arange(1, power + 1))
    between = 2.0 ** (-4.0 / power * np.arange(1, 2 * power + 1, 2))
    return np.concatenate([slopes, between[: num_heads - power]])


@keras.saving.register_keras_serializable("kzoo")
class ALiBi(keras.Layer):
    """Lowers scores in proportion to the distance, by another slope in each head, so that longer texts stay in order.

    Press et al. (2022), Train Short, Test Long: Attention with Linear Biases, arXiv:2108.12409. Without weights. Keys
    that come after the query, in attention that is not causal, count by their distance too.
    """

    def build(self, query_shape):
        self._slopes = alibi_slopes(query_shape[2])
        self.built = True

    def bias(self, query, key, offset=0, scale=None):
        away = ops.absolute(distances(ops.shape(query)[1], ops.shape(key)[1], offset))
        dtype = "float64" if keras.backend.standardize_dtype(query.dtype) == "float64" else "float32"
        slopes = ops.convert_to_tensor(-self._slopes[None, :, None, None], dtype)
        return slopes * ops.cast(away, dtype)


def bucket_edges(num_buckets, max_distance):
    """The least distance of each bucket but the first, in NumPy: one by one up to half of them, then ever wider."""
    exact = num_buckets // 2
    wider = num_buckets - exact
    powers = exact * (max_distance / exact) ** (np.arange(wider) / wider)
    return np.concatenate([np.arange(1, exact), np.ceil(powers - 1e-9)]).astype("int32")


@keras.saving.register_keras_serializable("kzoo")
class T5Position(keras.Layer):
    """Adds to each head's scores a learned number for each bucket of distances.

    Raffel et al. (2020), Exploring the Limits of Transfer Learning, arXiv:1910.10683, section 2.1. Half of the buckets
    hold one distance each, the others ever more, and the last one all from `max_distance` on. T5 gives one such layer
    to all attentions of its encoder or decoder, and leaves scores unscaled (`MultiHeadAttention(scale=1.0)`).

    Args:
        num_buckets: of distances; an even number.
        max_distance: from which on all distances are alike.
        bidirectional: whether keys after the query have buckets, half of all; if not, they are at distance 0.
        initializer: of the numbers.
    """

    def __init__(self, num_buckets=32, max_distance=128, bidirectional=True, initializer=None, **kwargs):
        super().__init__(**kwargs)
        check_whole(num_buckets=num_buckets, max_distance=max_distance)
        one_side = num_buckets // 2 if bidirectional else num_buckets
        if num_buckets % 2 or one_side < 2 or max_distance <= one_side // 2:
            raise ValueError(
                "T5Position needs an even number of buckets, two on a side, and a larger max_distance. "
                f"Received: num_buckets={num_buckets}, max_distance={max_distance}"
            )
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.initializer = keras.initializers.get(
            keras.initializers.RandomNormal(stddev=0.02) if initializer is None else initializer
        )

    def build(self, query_shape):
        self.embeddings = self.add_weight(
            (self.num_buckets, query_shape[2]), self.initializer, name="embeddings"
        )
        self.built = True

    def buckets(self, d):
        """The buckets of keys that lie `d` places after their query: int32, of the same shape."""
        one_side = self.num_buckets // 2 if self.bidirectional else self.num_buckets
        edges = bucket_edges(one_side, self.max_distance)
        away = ops.absolute(d) if self.bidirectional else ops.maximum(-d, 0)
        index = ops.sum(ops.cast(ops.greater_equal(ops.expand_dims(away, -1), edges), "int32"), axis=-1)
        return index + one_side * ops.cast(d > 0, "int32") if self.bidirectional else index

    def bias(self, query, key, offset=0, scale=None):
        t, s, n = ops.shape(query)[1], ops.shape(key)[1], query.shape[2]
        by_distance = ops.take(self.embeddings, self.buckets(column_distances(t, s, offset)), axis=0)
        by_distance = ops.reshape(ops.transpose(by_distance), (1, n, 1, t + s))
        return relative_shift(ops.broadcast_to(by_distance, (1, n, t, t + s)), s)

    def get_config(self):
        names = ("num_buckets", "max_distance", "bidirectional")
        initializer = keras.initializers.serialize(self.initializer)
        return super().get_config() | {n: getattr(self, n) for n in names} | {"initializer": initializer}
