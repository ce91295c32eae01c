"""A row's log-sum-exp of its similarities with all others, in memory linear in the number of rows.

The matrix of similarities is made a block of rows at a time, forgotten, and made again for the gradient.
"""

from keras import ops

from kzoo import autodiff

SELF = -1e30  # in place of a row's similarity with itself


def fits(z, block_size):
    """Whether the whole matrix had better be made: it is one block, or a gradient of a gradient is wanted."""
    count = z.shape[0]
    return (count is not None and count <= block_size) or autodiff.differentiating() > 1


def log_sum_exp_of_others(z, block_size):
    """`log Σ_{j≠i} exp(z_i · z_j)` for the rows of `z`: `(n, d)` to `(n,)`.

    The gradient is written by hand: a gradient of it would be wrong, see `fits`.
    """

    def each_block(function, *rows):
        """`function(start, *blocks)` of each block of rows, put together again."""
        count = ops.shape(rows[0])[0]
        blocks = -(-count // block_size)
        missing = blocks * block_size - count
        padded = []
        for values in rows:
            zeros = ops.zeros((missing, *values.shape[1:]), dtype=values.dtype)
            values = ops.concatenate([values, zeros], axis=0)
            padded.append(ops.reshape(values, (blocks, block_size, *values.shape[1:])))
        starts = ops.arange(blocks, dtype="int32") * block_size
        results = ops.map(lambda block: function(*block), (starts, *padded))
        return ops.reshape(results, (blocks * block_size, *results.shape[2:]))[:count]

    @ops.custom_gradient
    def forward(z):
        def sums(start, block):
            return ops.logsumexp(_similarities(block, z, start), axis=1)

        result = each_block(sums, z)

        def backward(*arguments, upstream=None):
            (weights,) = arguments if upstream is None else (upstream,)

            def pull(start, block, block_result, block_weights):
                # Similarities are symmetric: each is in the sum of its row and in that of its column.
                similar = _similarities(block, z, start)
                shares = ops.exp(similar - block_result[:, None]) * block_weights[:, None]
                shares += ops.exp(similar - result[None, :]) * weights[None, :]
                return ops.matmul(shares, z)

            return each_block(pull, z, result, weights)

        return result, backward

    return forward(z)


def _similarities(block, z, start):
    """A block of rows with all rows; its row 0 is row `start` of `z`."""
    similar = ops.matmul(block, ops.transpose(z))
    rows = start + ops.arange(ops.shape(block)[0], dtype="int32")
    columns = ops.arange(ops.shape(z)[0], dtype="int32")
    return ops.where(rows[:, None] == columns[None, :], ops.cast(SELF, similar.dtype), similar)
