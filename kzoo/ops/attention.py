"""Scaled dot-product attention: means of values, by the engine's fused kernel where it has one.

Vaswani et al. (2017), Attention Is All You Need, arXiv:1706.03762. Heads of keys that several heads of queries share:
Ainslie et al. (2023), GQA, arXiv:2305.13245.

Shapes: b batch, t queries, s keys, n heads of queries, m heads of keys, h and v lengths of a head's keys and values.
"""

import keras
from keras import ops

from kzoo import autodiff, backend
from kzoo.ops.masks import causal_mask, combine_masks, in_four_axes

UNSEEN = -1e30  # a score whose weight is 0


def dot_product_attention(
    query,
    key,
    value,
    *,
    mask=None,
    bias=None,
    causal=False,
    offset=0,
    scale=None,
    dropout=0.0,
    seed=None,
    return_weights=False,
):
    """`softmax(scale · query keyᵀ + bias) value`: `(b, t, n, h)`, `(b, s, m, h)`, `(b, s, m, v)` to `(b, t, n, v)`.

    Softmax runs in float32 at least. A query that may see no key gets zeros, and its gradients are zeros. PyTorch's
    fused kernel takes all calls without dropout and weights, JAX's those in half precision on a GPU or TPU; the rest
    is written out, and holds the weights in memory.

    Args:
        query: of every head.
        key: m divides n: heads of queries that follow one another share a head of keys.
        value: as `key`.
        mask: boolean, `True` where a query sees a key: `(t, s)`, `(b, t, s)` or `(b, n, t, s)`, or 1 for an axis.
        bias: added to the scaled scores; of such a shape.
        causal: whether query i sees only the keys up to position `offset + i`.
        offset: how many keys came before the first query; a number or a scalar tensor.
        scale: by default `h**-0.5`.
        dropout: the share of weights to drop, the rest being scaled up; 0 outside training.
        seed: of the dropout: a number or a `keras.random.SeedGenerator`.
        return_weights: whether to give the weights too, after dropout, in the precision of the softmax.

    Returns:
        The means; with `return_weights` a pair, the weights being `(b, n, t, s)`.
    """
    query, key, value = (ops.convert_to_tensor(x) for x in (query, key, value))
    _check_heads(query, key, value)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    mask = combine_masks(mask)
    bias = None if bias is None else in_four_axes(ops.convert_to_tensor(bias))
    causal = causal and not _stands_last(query, key, offset)
    if not (return_weights or dropout or isinstance(query, keras.KerasTensor) or differentiated_twice()):
        output = backend.fused_attention(query, key, value, mask, bias, causal, offset, scale)
        if output is not None:
            return output
    return _written_out(query, key, value, mask, bias, causal, offset, scale, dropout, seed, return_weights)


def masked_softmax(scores, mask=None):
    """Softmax over the last axis among what `mask` allows; rows that allow nothing are zeros.

    In float32 at least, which is also the dtype of the result.
    """
    scores = in_full_precision(scores)
    if mask is None:
        return ops.softmax(scores, axis=-1)
    weights = ops.softmax(ops.where(mask, scores, UNSEEN), axis=-1)
    return ops.where(mask, weights, 0.0)


def in_full_precision(x):
    """Half precision as float32."""
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if half else x


def _written_out(query, key, value, mask, bias, causal, offset, scale, dropout, seed, return_weights):
    """The same, operation by operation."""
    (_, t, n, _), (_, s, m, v) = ops.shape(query), ops.shape(value)
    grouped = n != m
    query = ops.transpose(query if scale == 1 else query * scale, (0, 2, 1, 3))  # (b, n, t, h)
    if grouped:  # the queries that share a head of keys follow one another
        query = ops.reshape(query, (-1, m, n // m * t, query.shape[-1]))
    scores = in_full_precision(ops.matmul(query, ops.transpose(key, (0, 2, 3, 1))))
    if grouped:
        scores = ops.reshape(scores, (-1, n, t, s))
    if bias is not None:
        scores = scores + ops.cast(bias, scores.dtype)
    seen = combine_masks(mask, causal_mask(t, s, offset)) if causal else mask
    if seen is not None:
        scores = ops.where(seen, scores, UNSEEN)
    weights = ops.softmax(scores, axis=-1)
    if dropout:
        weights = keras.random.dropout(weights, dropout, seed=seed)
    output = ops.cast(weights, value.dtype)
    if grouped:
        output = ops.reshape(output, (-1, m, n // m * t, s))
    output = ops.matmul(output, ops.transpose(value, (0, 2, 1, 3)))
    if grouped:
        output = ops.reshape(output, (-1, n, t, v))
    if mask is not None:  # causal order alone leaves no query without a key
        some = ops.any(seen, axis=-1, keepdims=True)  # (b or 1, n or 1, t, 1)
        output, weights = (
            ops.where(some, output, 0.0),
            ops.where(some, weights, 0.0) if return_weights else None,
        )
    output = ops.transpose(output, (0, 2, 1, 3))
    return (output, weights) if return_weights else output


def _stands_last(query, key, offset):
    """Whether there is one query, and it may see all keys by their order."""
    known = isinstance(offset, int) and query.shape[1] == 1 and key.shape[1] is not None
    return known and key.shape[1] <= offset + 1


def differentiated_twice():
    """Whether a gradient of the gradient may be asked for, which fused kernels do not have."""
    depth = autodiff.differentiating()
    return depth > 1 or (depth == 1 and backend.differentiated())


def _check_heads(query, key, value):
    shapes = [tuple(x.shape) for x in (query, key, value)]
    right = all(len(shape) == 4 for shape in shapes)
    if right:
        (_, _, n, h), (_, _, m, k), (_, _, same, _) = shapes
        right = h == k and m == same and n % m == 0
    if not right:
        raise ValueError(
            "attention takes queries (b, t, n, h), keys (b, s, m, h) and values (b, s, m, v), where m divides n. "
            f"Received: shapes={shapes}"
        )
