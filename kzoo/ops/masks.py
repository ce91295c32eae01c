"""Who may attend to whom: boolean masks, `True` where a query sees a key.

Local windows, strides and blocks: Child et al. (2019), Generating Long Sequences with Sparse Transformers,
arXiv:1904.10509; Beltagy et al. (2020), Longformer, arXiv:2004.05150.

Shapes: b batch, t queries, s keys, n heads. Lengths may be tensors. Query i stands at position `offset + i`, key j at
position j: when decoding, `offset` keys came before the first query.
"""

import keras
import numpy as np
from keras import ops


def distances(t, s=None, offset=0):
    """By how much each query comes after each key: int32 `(t, s)`; `s` is `t` by default."""
    queries = ops.arange(t, dtype="int32") + ops.cast(offset, "int32")
    return ops.expand_dims(queries, 1) - ops.arange(t if s is None else s, dtype="int32")


def causal_mask(t, s=None, offset=0):
    """A query sees the keys up to its own position: `(t, s)`."""
    return ops.greater_equal(distances(t, s, offset), 0)


def local_mask(t, window, s=None, offset=0, causal=False):
    """A query sees the keys less than `window` positions away, with `causal` only those behind it: `(t, s)`."""
    check_sizes(window=window)
    return within(distances(t, s, offset), window, causal)


def within(d, window, causal):
    """Which distances lie within a window; of tensors or NumPy arrays."""
    return (d < window) & (d >= 0 if causal else d > -window)


def strided_mask(t, stride, s=None, offset=0, causal=True):
    """A query sees the keys less than `stride` away and every `stride`-th: `(t, s)`.

    The strided pattern of Sparse Transformers, both of its parts in one head: with a stride of about √t, any two
    positions are two layers apart at most.
    """
    check_sizes(stride=stride)
    d = distances(t, s, offset)
    seen = within(d, stride, causal) | ops.equal(ops.mod(d, stride), 0)
    return seen & (d >= 0) if causal else seen


def padding_mask(lengths, max_length, side="right"):
    """Which of `max_length` places hold something, in rows that hold `lengths` `(b,)`: `(b, max_length)`.

    Args:
        side: where the padding is: `"right"`, or `"left"`, as in prompts that decoding goes on from.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right'. Received: side={side!r}")
    lengths = ops.expand_dims(ops.cast(lengths, "int32"), 1)
    places = ops.arange(max_length, dtype="int32")
    return ops.less(places, lengths) if side == "right" else ops.greater_equal(places, max_length - lengths)


def combine_masks(*masks):
    """What all masks allow, broadcastable to `(b, n, t, s)`; `None` if there is none.

    Args:
        masks: each `None`, `(t, s)`, `(b, t, s)` or `(b, n, t, s)`. A mask of keys `(b, s)` is `key_mask[:, None]`, or
            `ops.expand_dims(key_mask, 1)`.
    """
    combined = None
    for mask in masks:
        if mask is not None:
            mask = in_four_axes(ops.convert_to_tensor(mask))
            mask = mask if keras.backend.standardize_dtype(mask.dtype) == "bool" else ops.cast(mask, "bool")
            combined = mask if combined is None else ops.logical_and(combined, mask)
    return combined


def in_four_axes(x):
    """A mask or bias of `(t, s)`, `(b, t, s)` or `(b, n, t, s)` with all four axes."""
    rank = len(x.shape)
    if not 2 <= rank <= 4:
        raise ValueError(
            f"a mask or bias has the axes (t, s), (b, t, s) or (b, n, t, s). Received: shape={tuple(x.shape)}"
        )
    if rank == 3:
        return ops.expand_dims(x, 1)
    return ops.expand_dims(ops.expand_dims(x, 0), 0) if rank == 2 else x


# ---------------------------------------------------------------- layouts: patterns of whole blocks, in NumPy


def window_layout(num_blocks, window=1, num_global=0):
    """Blocks see those less than `window` blocks away; the first `num_global` see all and are seen by all.

    Longformer's pattern, block by block: NumPy `(num_blocks, num_blocks)`.
    """
    check_sizes(num_blocks=num_blocks, window=window)
    rows, columns = np.indices((num_blocks, num_blocks))
    return (np.abs(rows - columns) < window) | (np.minimum(rows, columns) < num_global)


def fixed_layout(num_blocks, group, num_summaries=1):
    """Blocks see the `group` of blocks that they are in, and the last `num_summaries` blocks of every group.

    The fixed pattern of Sparse Transformers, where summaries carry a group's content to all later ones (give
    `causal=True` with it): NumPy `(num_blocks, num_blocks)`.
    """
    check_sizes(num_blocks=num_blocks, group=group, num_summaries=num_summaries)
    rows, columns = np.indices((num_blocks, num_blocks))
    return (rows // group == columns // group) | (columns % group >= group - num_summaries)


def block_mask(layout, block_size, t, s=None, causal=False):
    """The mask of `(t, s)` places that a layout of blocks stands for, in NumPy."""
    seen = np.kron(check_layout(layout), np.ones((block_size, block_size), bool))
    seen = seen[:t, : t if s is None else s]
    return np.tril(seen) if causal else seen


def check_sizes(**sizes):
    """Whole numbers, at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number, at least 1. Received: {name}={size!r}")


def check_layout(layout):
    """The layout as a NumPy array of two axes."""
    layout = np.asarray(layout)
    if layout.ndim != 2 or layout.dtype != bool:
        raise ValueError(
            "a layout is a boolean array of blocks of queries by blocks of keys. "
            f"Received: shape={layout.shape}, dtype={layout.dtype}"
        )
    return layout
