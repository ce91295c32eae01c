"""Positions by vectors of distances, for `MultiHeadAttention(position=...)`: Shaw, Transformer-XL, DeBERTa.

What attention asks of them is told in `positions.py`. None makes the tensor of a vector for each query and key: there
are only t + s distances, and `relative_shift` puts what comes of them into its place.

Shapes: b batch, t queries, s keys, n heads of queries, m heads of keys, h a head's length.
"""

import keras
from keras import ops

from kzoo.layers.arguments import check_positive, check_whole
from kzoo.layers.initial_values import fresh
from kzoo.ops.relative import column_distances, relative_shift, relative_unshift


def drawn_narrowly(initializer):
    """The initialiser that is given, or a normal one of deviation 0.02."""
    narrow = keras.initializers.RandomNormal(stddev=0.02)
    return keras.initializers.get(narrow if initializer is None else initializer)


def by_distance(query, vectors, s):
    """Products of queries with a vector for each distance, `(t + s, h)` or `(t + s, n, h)`: `(b, n, t, s)`."""
    equation = "btnh,ch->bntc" if len(vectors.shape) == 2 else "btnh,cnh->bntc"
    return relative_shift(ops.einsum(equation, query, vectors), s)


def for_every_query(key, n):
    """Heads of keys repeated for the heads of queries that share them: `(b, s, m, h)` to `(b, s, n, h)`."""
    return key if key.shape[2] == n else ops.repeat(key, n // key.shape[2], axis=2)


@keras.saving.register_keras_serializable("kzoo")
class ShawPosition(keras.Layer):
    """Learned vectors of the distance, one added to each key and one to each value; all heads share them.

    Shaw et al. (2018), Self-Attention with Relative Position Representations, arXiv:1803.02155, equations 3 and 4.
    Attention that adds to values needs its weights, and so does without fused kernels.

    Args:
        max_distance: beyond which all distances are alike; the paper's k.
        initializer: of the vectors.
    """

    def __init__(self, max_distance=16, initializer=None, **kwargs):
        super().__init__(**kwargs)
        check_whole(max_distance=max_distance)
        self.max_distance = max_distance
        self.initializer = drawn_narrowly(initializer)

    def build(self, query_shape):
        shape = (2 * self.max_distance + 1, query_shape[-1])
        self.key_embeddings = self.add_weight(shape, fresh(self.initializer), name="key_embeddings")
        self.value_embeddings = self.add_weight(shape, fresh(self.initializer), name="value_embeddings")
        self.built = True

    def _look_up(self, embeddings, t, s, offset):
        k = self.max_distance
        return ops.take(embeddings, ops.clip(column_distances(t, s, offset), -k, k) + k, axis=0)

    def bias(self, query, key, offset, scale):
        t, s = ops.shape(query)[1], ops.shape(key)[1]
        return by_distance(query * scale, self._look_up(self.key_embeddings, t, s, offset), s)

    def values(self, weights, offset):
        _, _, t, s = ops.shape(weights)
        vectors = self._look_up(self.value_embeddings, t, s, offset)
        return ops.einsum("bntc,ch->btnh", relative_unshift(ops.cast(weights, vectors.dtype)), vectors)

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return super().get_config() | {"max_distance": self.max_distance, "initializer": initializer}


@keras.saving.register_keras_serializable("kzoo")
class TransformerXLPosition(keras.Layer):
    """Distances as sines and cosines, mapped to a head's length, and two learned biases in the queries' place.

    Dai et al. (2019), Transformer-XL, arXiv:1901.02860, section 3.3: a score is
    `(q_i + u) k_j + (q_i + v) W R_{i-j}` over √h. `R` has its sines in the first half of the columns and its cosines in
    the second, as in the paper's code.

    Args:
        dim: columns of `R`; by default n · h.
        max_wavelength: over 2π, of the slowest sine.
        initializer: of the map and the biases.
    """

    def __init__(self, dim=None, max_wavelength=10_000.0, initializer=None, **kwargs):
        super().__init__(**kwargs)
        if dim is not None:
            check_whole(dim=dim)
        check_positive(max_wavelength=max_wavelength)
        self.dim = dim
        self.max_wavelength = max_wavelength
        self.initializer = drawn_narrowly(initializer)

    def build(self, query_shape):
        _, _, n, h = query_shape
        dim = self.dim or n * h
        if dim % 2:
            raise ValueError(f"sines and cosines need an even number of columns. Received: dim={dim}")
        self.projection = keras.layers.Dense(
            n * h,
            use_bias=False,
            kernel_initializer=fresh(self.initializer),
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build((None, dim))
        self.content_bias = self.add_weight((n, h), fresh(self.initializer), name="content_bias")
        self.position_bias = self.add_weight((n, h), fresh(self.initializer), name="position_bias")
        self.built = True

    def bias(self, query, key, offset, scale):
        (_, t, n, h), s = ops.shape(query), ops.shape(key)[1]
        away = self._sines(-column_distances(t, s, offset), query.dtype)
        vectors = ops.reshape(self.projection(away), (-1, n, h))  # W R
        positions = by_distance((query + self.position_bias) * scale, vectors, s)
        contents = ops.einsum("nh,bsnh->bns", self.content_bias * scale, for_every_query(key, n))
        return positions + ops.expand_dims(contents, 2)

    def _sines(self, d, dtype):
        dtype = keras.backend.standardize_dtype(dtype)
        precise = "float64" if dtype == "float64" else "float32"
        dim = self.projection.kernel.shape[0]
        exponents = ops.arange(0, dim, 2, dtype=precise) / dim
        angles = ops.expand_dims(ops.cast(d, precise), 1) * ops.power(
            ops.cast(self.max_wavelength, precise), -exponents
        )
        return ops.cast(ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1), dtype)

    def get_config(self):
        own = {"dim": self.dim, "max_wavelength": self.max_wavelength}
        return super().get_config() | own | {"initializer": keras.initializers.serialize(self.initializer)}


@keras.saving.register_keras_serializable("kzoo")
class DisentangledPosition(keras.Layer):
    """Contents with contents, contents with distances and distances with contents: three products in each score.

    He et al. (2021), DeBERTa, arXiv:2006.03654, section 3.1: `(Q_i K_j + Q_i Kr_δ + Qr_δ K_j) / √(3h)`, where `Kr` and
    `Qr` are two linear maps of a learned vector for each distance and δ is the distance `i - j`, from -k to k - 1. In
    the last product the paper writes the opposite distance; its published code, and so the published weights, have the
    same one. There the vectors are those of all blocks; here each layer has its own.

    Args:
        max_distance: k, beyond which all distances are alike.
        dim: of the vectors; by default n · h.
        initializer: of the vectors and the linear maps.
    """

    def __init__(self, max_distance=512, dim=None, initializer=None, **kwargs):
        super().__init__(**kwargs)
        check_whole(max_distance=max_distance)
        if dim is not None:
            check_whole(dim=dim)
        self.max_distance = max_distance
        self.dim = dim
        self.initializer = drawn_narrowly(initializer)

    def build(self, query_shape):
        _, _, n, h = query_shape
        dim = self.dim or n * h
        shape = (2 * self.max_distance, dim)
        self.embeddings = self.add_weight(shape, fresh(self.initializer), name="embeddings")

        def projection(name, **options):
            options |= {"kernel_initializer": fresh(self.initializer), "dtype": self.dtype_policy}
            layer = keras.layers.Dense(n * h, name=name, **options)
            layer.build((None, dim))
            return layer

        self.key_projection = projection("key_projection", use_bias=False)
        self.query_projection = projection("query_projection")
        self.built = True

    def scale(self, head_dim):
        return (3 * head_dim) ** -0.5

    def bias(self, query, key, offset, scale):
        (_, t, n, h), s, k = ops.shape(query), ops.shape(key)[1], self.max_distance
        key = for_every_query(key, n)

        def vectors(projection, d):
            rows = ops.take(self.embeddings, ops.clip(d, -k, k - 1) + k, axis=0)
            return ops.reshape(projection(rows), (-1, n, h))

        keys = vectors(self.key_projection, -column_distances(t, s, offset))
        # In the last product keys come first: their columns are queries, which begin at the offset.
        queries = vectors(self.query_projection, column_distances(s, t) + offset)
        from_keys = by_distance(key * scale, queries, t)  # (b, n, s, t)
        return by_distance(query * scale, keys, s) + ops.transpose(from_keys, (0, 1, 3, 2))

    def get_config(self):
        own = {"max_distance": self.max_distance, "dim": self.dim}
        return super().get_config() | own | {"initializer": keras.initializers.serialize(self.initializer)}
