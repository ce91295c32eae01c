"""Self-attention within windows of a map, which may be shifted so that neighbours meet.

Liu et al. (2021), Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, arXiv:2103.14030.
Shapes: b batch, h height, w width, c channels, m window size, k number of windows, n = m² tokens of a window, a heads.
"""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_rank, check_whole


def relative_positions(m):
    """For each pair of a window's tokens the row of the table of `(2 m - 1)²` distances: `(n, n)`, NumPy."""
    places = np.stack(np.divmod(np.arange(m * m), m), -1)  # (n, 2): row and column
    distances = places[:, None] - places[None] + m - 1  # 0 to 2 m - 2
    return distances[..., 0] * (2 * m - 1) + distances[..., 1]


def shift_mask(height, width, m, shifts):
    """What to add to the scores where shifted windows join what lies far apart: `(k, n, n)`, 0 or -100, NumPy.

    After the cyclic shift, the last window of an axis holds its end and its beginning: they must not see each other.
    """
    parts = [np.where(np.arange(size) < size - shift, 0, 1) for size, shift in zip((height, width), shifts)]
    parts = parts[0][:, None] * 2 + parts[1][None]
    parts = parts.reshape(height // m, m, width // m, m).transpose(0, 2, 1, 3).reshape(-1, m * m)
    return np.where(parts[:, :, None] == parts[:, None], 0.0, -100.0)


@keras.saving.register_keras_serializable("kzoo")
class WindowAttention(keras.Layer):
    """Attention with several heads among the m x m places of each window: `(b, h, w, c)` to the same shape.

    `softmax(q kᵀ / √d + B) v` (equation 4), where `B` holds for each head a learned number for each distance between
    two places. Maps that windows do not tile are padded with zeros at the end, which are seen as any other place.
    Along an axis that one window covers, nothing is shifted. The height and width must be fixed.

    Args:
        num_heads: a; it must divide c.
        window_size: m.
        shift_size: by how many places the windows are shifted; the paper's is half a window in every other block.
        use_bias: of queries, keys and values.
        kernel_initializer: of the linear maps.
    """

    def __init__(
        self,
        num_heads,
        window_size=7,
        shift_size=0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_whole(num_heads=num_heads, window_size=window_size)
        if not isinstance(shift_size, int) or not 0 <= shift_size < window_size:
            raise ValueError(
                "shift_size must be a whole number under window_size. "
                f"Received: shift_size={shift_size!r}, window_size={window_size}"
            )
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift_size = shift_size
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        check_rank(input_shape, 4, "maps of shape (b, h, w, c) with known h, w and c")
        _, h, w, c = input_shape
        if h is None or w is None or c % self.num_heads:
            raise ValueError(
                "WindowAttention needs a fixed height and width, and channels that num_heads divides. "
                f"Received: input_shape={tuple(input_shape)}, num_heads={self.num_heads}"
            )
        m = self.window_size
        self._padding = (-h % m, -w % m)
        self._padded = (h + self._padding[0], w + self._padding[1])
        self._shifts = tuple(self.shift_size if size > m else 0 for size in self._padded)
        self._mask = shift_mask(*self._padded, m, self._shifts) if any(self._shifts) else None
        self._positions = relative_positions(m).reshape(-1)
        options = {"kernel_initializer": self.kernel_initializer, "dtype": self.dtype_policy}
        self.query_key_value = keras.layers.Dense(
            3 * c, use_bias=self.use_bias, name="query_key_value", **options
        )
        self.projection = keras.layers.Dense(c, name="projection", **options)
        self.query_key_value.build((None, c))
        self.projection.build((None, c))
        self.relative_position_bias = self.add_weight(
            ((2 * m - 1) ** 2, self.num_heads),
            keras.initializers.TruncatedNormal(stddev=0.02),
            name="relative_position_bias",
        )
        self.built = True

    def call(self, inputs):
        _, h, w, c = inputs.shape
        (height, width), m, a = self._padded, self.window_size, self.num_heads
        x = inputs
        if any(self._padding):
            x = ops.pad(x, ((0, 0), (0, self._padding[0]), (0, self._padding[1]), (0, 0)))
        x = self._rolled(x, self._shifts)
        x = ops.reshape(x, (-1, height // m, m, width // m, m, c))
        k, n = height // m * (width // m), m * m
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, k, n, c))
        x = ops.reshape(self.query_key_value(x), (-1, k, n, 3, a, c // a))
        query, key, value = (x[:, :, :, i] for i in range(3))  # each (b, k, n, a, d)
        query = ops.transpose(query * (c // a) ** -0.5, (0, 1, 3, 2, 4))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 4, 2))) + self._biases(inputs.dtype)
        x = ops.matmul(ops.softmax(scores), ops.transpose(value, (0, 1, 3, 2, 4)))  # (b, k, a, n, d)
        x = self.projection(ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, k, n, c)))
        x = ops.reshape(x, (-1, height // m, width // m, m, m, c))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, c))
        x = self._rolled(x, [size - shift for size, shift in zip(self._padded, self._shifts)])
        return x[:, :h, :w] if any(self._padding) else x

    def _biases(self, dtype):
        """What is added to the scores: `(1, 1 or k, a, n, n)`."""
        n = self.window_size**2
        biases = ops.take(self.relative_position_bias, self._positions, axis=0)
        biases = ops.transpose(ops.reshape(biases, (1, 1, n, n, self.num_heads)), (0, 1, 4, 2, 3))
        if self._mask is not None:
            biases = biases + ops.convert_to_tensor(self._mask[None, :, None], biases.dtype)
        return ops.cast(biases, dtype)

    def _rolled(self, x, shifts):
        """Moved up and left, what leaves there coming in again at the other side."""
        for axis, shift in enumerate(shifts, 1):
            if shift % self._padded[axis - 1]:
                first, second = ops.split(x, [shift], axis=axis)
                x = ops.concatenate([second, first], axis=axis)
        return x

    def multiply_adds(self, input_shape):
        """Of one example, the padding included: four linear maps, and each place with each of its window, twice."""
        c = input_shape[-1]
        return self._padded[0] * self._padded[1] * (4 * c**2 + 2 * self.window_size**2 * c)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("num_heads", "window_size", "shift_size", "use_bias")
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {name: getattr(self, name) for name in names}
        return super().get_config() | own | {"kernel_initializer": initializer}
