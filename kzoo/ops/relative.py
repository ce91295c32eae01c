"""Scores by distance put where they belong: from a column per distance to a column per key, and back.

Dai et al. (2019), Transformer-XL, arXiv:1901.02860, appendix B. With them, terms that depend on the distance of a
query and a key need t + s vectors instead of t · s.

Shapes: t queries, s keys. Column c of the `t + s` columns stands for the keys that lie `c - (t - 1)` places after the
query of the same number: the last one is used by none.
"""

from keras import ops


def column_distances(t, s, offset=0):
    """By how much the keys of each column come after the query, at position `offset + i`: int32 `(t + s,)`."""
    return ops.arange(t + s, dtype="int32") - ops.cast(t - 1 + offset, "int32")


def relative_shift(x, s):
    """A column per distance to a column per key: `(b, n, t, t + s)` to `(b, n, t, s)`.

    Row i moves left by t - 1 - i: written one after the other, rows that are one shorter begin where they should.
    """
    _, n, t, width = ops.shape(x)
    x = ops.reshape(x, (-1, n, t * width))[:, :, t - 1 : t - 1 + t * (width - 1)]
    return ops.reshape(x, (-1, n, t, width - 1))[..., :s]


def relative_unshift(x):
    """A column per key to a column per distance, zeros where there is no key: `(b, n, t, s)` to `(b, n, t, t + s)`."""
    _, n, t, s = ops.shape(x)
    x = ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, t - 1)))
    x = ops.pad(ops.reshape(x, (-1, n, t * (t + s - 1))), ((0, 0), (0, 0), (t - 1, 1)))
    return ops.reshape(x, (-1, n, t, t + s))
