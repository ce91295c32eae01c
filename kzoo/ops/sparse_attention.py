"""Attention that sees only near, regular or chosen places, in memory that grows slower than the square of the length.

Each function gives what `dot_product_attention` gives under the mask of the same name, and never makes the whole matrix
of scores: it goes by blocks of places. Lengths that are no whole number of blocks are padded inside.

Local windows and strides: Child et al. (2019), Generating Long Sequences with Sparse Transformers, arXiv:1904.10509.
Local windows and global places: Beltagy et al. (2020), Longformer, arXiv:2004.05150.

Shapes: b batch, t length, n heads of queries, m heads of keys, h a head's length, c blocks of k places.
"""

import numpy as np
from keras import ops

from kzoo.ops.attention import dot_product_attention, in_full_precision, masked_softmax
from kzoo.ops.masks import check_layout, check_sizes, combine_masks, local_mask, within

SMALLEST_BLOCK = 32  # smaller ones cost more in calls than they save in products


def local_attention(
    query,
    key,
    value,
    window,
    *,
    causal=False,
    key_mask=None,
    block_size=None,
    scale=None,
    dropout=0.0,
    seed=None,
):
    """Each place sees those less than `window` away: queries `(b, t, n, h)`, keys and values `(b, t, m, h)`.

    Memory and work grow with `t · window`: each block of places attends to itself and its neighbours.

    Args:
        query: of every head.
        key: of the same length.
        value: as `key`.
        window: of `local_mask`.
        causal: whether a place sees only those before it, and itself.
        key_mask: boolean `(b, t)`, `True` for keys that may be seen.
        block_size: at least `window`; by default `window`, or 32 if that is more.
        scale: as in `dot_product_attention`, and so are dropout and seed.
        dropout: of the weights.
        seed: of the dropout.
    """
    check_sizes(window=window)
    k = max(window, SMALLEST_BLOCK) if block_size is None else block_size
    if k < window:
        raise ValueError(
            f"block_size must be at least the window. Received: block_size={k!r}, window={window}"
        )
    options = {"scale": scale, "dropout": dropout, "seed": seed}
    t = ops.shape(query)[1]
    if isinstance(t, int) and t <= 2 * k:  # the blocks would hold the whole matrix
        mask = local_mask(t, window, causal=causal)
        mask = combine_masks(mask, None if key_mask is None else ops.expand_dims(key_mask, 1))
        return dot_product_attention(query, key, value, mask=mask, **options)
    size = {"count": _whole_blocks(t, k), "size": k, "length": t}
    query = _blocks(query, **size)  # (b, c, k, n, h)
    # (b, c, 2 k or 3 k, m, h)
    key, value = (_with_neighbours(x, **size, causal=causal) for x in (key, value))
    keys_there = ops.ones((1, t), "int32") if key_mask is None else ops.cast(key_mask, "int32")
    mask = _near(keys_there, window, **size, causal=causal)
    mask = ops.broadcast_to(mask, (ops.shape(query)[0], size["count"], *mask.shape[2:]))
    mask = ops.reshape(mask, (-1, 1, *mask.shape[2:]))
    output = dot_product_attention(_folded(query), _folded(key), _folded(value), mask=mask, **options)
    return ops.reshape(output, (-1, size["count"] * k, *output.shape[2:]))[:, :t]


def strided_attention(query, key, value, stride, *, causal=True, key_mask=None, scale=None):
    """Each place sees those less than `stride` away and every `stride`-th: shapes as in `local_attention`.

    Memory and work grow with `t · (2 stride + t / stride)`, least for a stride of about `√(t / 2)`: places lie in rows
    of `stride`, and each attends to its row, the rows beside it and its column, in one softmax.

    Args:
        query: of every head.
        key: of the same length.
        value: as `key`.
        stride: of `strided_mask`.
        causal: whether a place sees only those before it, and itself.
        key_mask: boolean `(b, t)`, `True` for keys that may be seen.
        scale: of the scores; by default `h**-0.5`.
    """
    check_sizes(stride=stride)
    query, key, value = (ops.convert_to_tensor(x) for x in (query, key, value))
    (_, t, n, h), m, k = ops.shape(query), key.shape[2], stride
    c = _whole_blocks(t, k)
    size = {"count": c, "size": k, "length": t}
    query = _blocks(query * (h**-0.5 if scale is None else scale), **size)
    query = ops.reshape(query, (-1, c, k, m, n // m, h))
    near_keys, near_values = (_with_neighbours(x, **size, causal=causal) for x in (key, value))
    near = ops.einsum("bcimgh,bcjmh->bmgcij", query, near_keys)  # j of 2 k or 3 k
    far = ops.einsum("bcimgh,bdimh->bmgcid", query, _blocks(key, **size))  # d of c
    scores = in_full_precision(ops.concatenate([near, far], axis=-1))

    keys_there = ops.ones((1, t), "int32") if key_mask is None else ops.cast(key_mask, "int32")
    near_mask = _near(keys_there, k, **size, causal=causal)
    rows = ops.arange(c, dtype="int32")
    later = ops.expand_dims(rows, 1) - rows  # by how many rows a query lies after a key of its column
    others = ops.greater(later, 0) if causal else ops.not_equal(later, 0)  # its own row is near
    columns = ops.transpose(_blocks(keys_there, **size) > 0, (0, 2, 1))  # (b or 1, k, c)
    far_mask = ops.logical_and(ops.expand_dims(columns, 1), ops.expand_dims(others, 1))  # (b or 1, c, k, c)
    mask = ops.concatenate([near_mask, far_mask], axis=-1)

    width, longest = near_keys.shape[2], near_keys.shape[2] + c
    scores = ops.reshape(scores, (-1, n, c, k, longest))  # TensorFlow's compiled softmax takes five axes
    weights = ops.cast(masked_softmax(scores, ops.expand_dims(mask, 1)), value.dtype)
    weights = ops.reshape(weights, (-1, m, n // m, c, k, longest))
    output = ops.einsum("bmgcij,bcjmh->bcimgh", weights[..., :width], near_values)
    output = output + ops.einsum("bmgcid,bdimh->bcimgh", weights[..., width:], _blocks(value, **size))
    return ops.reshape(output, (-1, c * k, n, value.shape[-1]))[:, :t]


def block_sparse_attention(
    query, key, value, layout, block_size, *, causal=False, key_mask=None, scale=None, dropout=0.0, seed=None
):
    """Blocks of places see the blocks that a layout names: shapes as in `local_attention`, with a known length.

    Memory and work grow with the number of blocks that are seen, at most doubled: rows that see like many blocks are
    computed together.

    Args:
        query: of every head.
        key: of the same length.
        value: as `key`.
        layout: boolean NumPy array of blocks of queries by blocks of keys, as `window_layout` and `fixed_layout` make.
        block_size: places in a block; the last one may be cut short by the length.
        causal: whether a place also sees only those before it, and itself.
        key_mask: boolean `(b, t)`, `True` for keys that may be seen.
        scale: as in `dot_product_attention`, and so are dropout and seed.
        dropout: of the weights.
        seed: of the dropout.
    """
    check_sizes(block_size=block_size)
    layout, t, k = check_layout(layout), query.shape[1], block_size
    if t is None or layout.shape != (_whole_blocks(t, k),) * 2:
        raise ValueError(
            "the layout must name each block of the length, which must be known. "
            f"Received: layout of {layout.shape} blocks of {k}, length {t}"
        )
    c = len(layout)
    layout = np.tril(layout) if causal else layout
    query, key, value = (_blocks(x, c, k, length=t) for x in (query, key, value))
    keys_there = None if key_mask is None else _blocks(ops.cast(key_mask, "int32"), c, k, length=t)
    outputs, order = [], []
    counts = layout.sum(1)
    widths = np.minimum(2 ** np.ceil(np.log2(np.maximum(counts, 1))).astype(int), c)
    for width in np.unique(widths):
        chosen = np.flatnonzero(widths == width)  # r rows of blocks
        columns = np.argsort(~layout[chosen], axis=1, kind="stable")  # those that are seen come first
        columns = columns[:, :width]
        places = (columns[..., None] * k + np.arange(k)).reshape(len(chosen), 1, -1)  # of keys
        seen = np.repeat(np.arange(width) < counts[chosen, None], k, axis=1)[:, None] & (places < t)
        if causal:
            seen = seen & (places <= (chosen[:, None] * k + np.arange(k))[..., None])  # (r, k, width k)

        def gathered(x, columns=columns):
            """The blocks that each row sees, end to end: `(b, r, width k, …)`."""
            blocks = ops.take(x, columns.reshape(-1), axis=1)
            return ops.reshape(blocks, (-1, len(columns), columns.shape[1] * k, *x.shape[3:]))

        mask = ops.expand_dims(ops.convert_to_tensor(seen), 0)
        if keys_there is not None:
            mask = ops.logical_and(mask, ops.expand_dims(gathered(keys_there) > 0, 2))
        mask = ops.broadcast_to(mask, (ops.shape(query)[0], *mask.shape[1:]))
        output = dot_product_attention(
            _folded(ops.take(query, chosen, axis=1)),
            _folded(gathered(key)),
            _folded(gathered(value)),
            mask=ops.reshape(mask, (-1, 1, *mask.shape[2:])),
            scale=scale,
            dropout=dropout,
            seed=seed,
        )
        outputs.append(ops.reshape(output, (-1, len(chosen), *output.shape[1:])))
        order.extend(chosen)
    output = outputs[0]
    if len(outputs) > 1:
        output = ops.take(ops.concatenate(outputs, axis=1), np.argsort(order), axis=1)
    return ops.reshape(output, (-1, c * k, *output.shape[3:]))[:, :t]


def _whole_blocks(length, size):
    """How many blocks hold so many places."""
    return (
        length + size - 1
    ) // size  # of positive numbers: ONNX rounds quotients of whole numbers towards 0


def _blocks(x, count, size, *, length, before=0):
    """`(b, t, …)` with zeros around it as `count` blocks: `(b, count, size, …)`."""
    x = ops.convert_to_tensor(x)
    after = count * size - before - length
    if not (isinstance(after, int) and after == before == 0):
        x = ops.pad(x, ((0, 0), (before, after), *((0, 0),) * (len(x.shape) - 2)))
    return ops.reshape(x, (-1, count, size, *x.shape[2:]))


def _with_neighbours(x, *, count, size, length, causal):
    """Each block with the one before and, unless causal, the one after it: `(b, count, 2 size or 3 size, …)`."""
    together = 2 if causal else 3
    blocks = _blocks(x, count + together - 1, size, length=length, before=size)
    return ops.concatenate([blocks[:, i : count + i] for i in range(together)], axis=2)


def _near(keys_there, window, *, count, size, length, causal):
    """Which keys of `_with_neighbours` a window holds and are there: `(b or 1, count, size, 2 size or 3 size)`."""
    d = np.arange(size)[:, None] + size - np.arange(2 * size if causal else 3 * size)
    keys_there = _with_neighbours(keys_there, count=count, size=size, length=length, causal=causal) > 0
    return ops.logical_and(ops.expand_dims(keys_there, 2), within(d, window, causal))


def _folded(blocks):
    """Blocks as examples of a batch: `(b, c, k, …)` to `(b c, k, …)`."""
    return ops.reshape(blocks, (-1, *blocks.shape[2:]))
