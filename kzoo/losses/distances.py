"""Between rows of embeddings: unit length, squared and Euclidean distances, with gradients that stay finite."""

from keras import ops

# Below this squared length a row counts as zero: its direction is not defined.
TINY = 1e-12


def unit(x, over=1.0):
    """Rows of length 1, or 1 / √over: `(…, d)`. A row of zeros stays zeros, with a finite gradient.

    The similarities of rows scaled so are their cosines divided by `over`, and nothing is left to do to the matrix.
    """
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares if over == 1.0 else squares * over, TINY * over))


def squared_distances(a, b):
    """Squared Euclidean distances of all rows: `(n, d)` and `(m, d)` to `(n, m)`, never below zero."""
    # Distances do not change when everything moves; near the origin the difference of squares is accurate.
    centre = ops.stop_gradient(ops.mean(b, axis=0, keepdims=True))
    itself = a is b
    b = b - centre
    a = b if itself else a - centre
    squares_b = ops.sum(ops.square(b), axis=-1)
    squares_a = squares_b if itself else ops.sum(ops.square(a), axis=-1)
    return ops.relu(squares_a[:, None] + squares_b - 2.0 * ops.matmul(a, ops.transpose(b)))


def square_root(squares):
    """The square root, from 1e-15 up, with gradient zero at zero, where the true one is infinite."""
    return ops.sqrt(ops.maximum(squares, 1e-30))


def same_label(a, b):
    """Which labels are equal: `(n,)` and `(m,)`, or with a last axis of 1, to a Boolean `(n, m)`."""
    return ops.equal(ops.reshape(a, (-1, 1)), ops.reshape(b, (1, -1)))


def check_embeddings(y_pred, shape, name):
    """Raises unless `y_pred` has the rank of `shape`, and its sizes where `shape` has numbers."""
    fits = len(y_pred.shape) == len(shape) and all(
        not isinstance(wanted, int) or size in (None, wanted) for size, wanted in zip(y_pred.shape, shape)
    )
    if not fits:
        wanted = ", ".join(str(size) for size in shape)
        raise ValueError(f"{name} needs y_pred of shape ({wanted}). Received: y_pred.shape={y_pred.shape}")
