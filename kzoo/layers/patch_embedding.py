"""Images as tokens: patches, a class token, positions.

Dosovitskiy et al. (2021), An Image is Worth 16x16 Words, arXiv:2010.11929. Each part is a layer of its own.
Shapes: b batch, h height, w width, c channels, p patch size, n tokens, d dim.
"""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_positive, check_rank, check_whole


@keras.saving.register_keras_serializable("kzoo")
class PatchEmbedding(keras.Layer):
    """Cuts images into patches and maps each linearly to a token: `(b, h, w, c)` to `(b, (h / p) · (w / p), d)`.

    Tokens are in reading order. A convolution with stride p does both at once.

    Args:
        dim: d.
        patch_size: p, a number or a pair; it must divide the image's size.
        use_bias: of the linear map.
    """

    def __init__(self, dim, patch_size=16, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        sides = (patch_size, patch_size) if isinstance(patch_size, int) else tuple(patch_size)
        if len(sides) != 2:
            raise ValueError(f"patch_size must be a number or a pair. Received: patch_size={patch_size!r}")
        check_whole(dim=dim)
        for side in sides:
            check_whole(patch_size=side)
        self.dim = dim
        self.patch_size = sides
        self.use_bias = use_bias
        self.projection = keras.layers.Conv2D(
            dim,
            sides,
            sides,
            use_bias=use_bias,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="projection",
        )

    def build(self, input_shape):
        check_rank(input_shape, 4, "images of shape (b, h, w, c) with a known c")
        if any(size is not None and size % side for size, side in zip(input_shape[1:3], self.patch_size)):
            raise ValueError(
                f"patches of {self.patch_size} must divide the image: resize or pad it. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.projection.build(input_shape)
        self.built = True

    def call(self, inputs):
        x = self.projection(inputs)  # (b, h / p, w / p, d)
        _, rows, columns, _ = ops.shape(x)
        return ops.reshape(x, (-1, rows * columns, self.dim))

    def compute_output_shape(self, input_shape):
        b, h, w, _ = input_shape
        p, q = self.patch_size
        return (b, None if h is None or w is None else (h // p) * (w // q), self.dim)

    def multiply_adds(self, input_shape):
        """Of one image."""
        _, length, dim = self.compute_output_shape(input_shape)
        return length * dim * self.patch_size[0] * self.patch_size[1] * input_shape[-1]

    def get_config(self):
        own = {"dim": self.dim, "patch_size": self.patch_size, "use_bias": self.use_bias}
        return super().get_config() | own


@keras.saving.register_keras_serializable("kzoo")
class ClassToken(keras.Layer):
    """Puts one learned token before the others: `(b, n, d)` to `(b, n + 1, d)`. It starts at zero."""

    def build(self, input_shape):
        check_rank(input_shape, 3, "tokens of shape (b, n, d) with a known d")
        self.token = self.add_weight((1, 1, input_shape[-1]), "zeros", name="token")
        self.built = True

    def call(self, inputs):
        first = ops.broadcast_to(self.token, (ops.shape(inputs)[0], 1, inputs.shape[-1]))
        return ops.concatenate([ops.cast(first, inputs.dtype), inputs], axis=1)

    def multiply_adds(self, input_shape):
        """None."""
        return 0

    def compute_output_shape(self, input_shape):
        b, n, d = input_shape
        return (b, None if n is None else n + 1, d)


@keras.saving.register_keras_serializable("kzoo")
class PositionEmbedding(keras.Layer):
    """Adds a learned vector for each position: `(b, n, d)` to the same shape.

    Args:
        max_length: number of positions, at least n; by default n, which is then fixed.
        initializer: of the vectors; the Vision Transformer's deviation is 0.02.
    """

    def __init__(self, max_length=None, initializer=None, **kwargs):
        super().__init__(**kwargs)
        if max_length is not None:
            check_whole(max_length=max_length)
        self.max_length = max_length
        self.initializer = keras.initializers.get(
            keras.initializers.RandomNormal(stddev=0.02) if initializer is None else initializer
        )
        self.supports_masking = True

    def build(self, input_shape):
        check_rank(input_shape, 3, "tokens of shape (b, n, d) with a known d")
        length = self.max_length or input_shape[1]
        if length is None:
            raise ValueError(
                f"give max_length where the length is not fixed. Received: input_shape={tuple(input_shape)}"
            )
        if input_shape[1] is not None and input_shape[1] > length:
            raise ValueError(
                f"there are only max_length={length} positions. Received: input_shape={input_shape}"
            )
        self.embeddings = self.add_weight((length, input_shape[-1]), self.initializer, name="embeddings")
        self.built = True

    def call(self, inputs, offset=0):
        """`offset` is the position of the first token: a number, a scalar tensor, or one for each example, `(b,)`.

        Tokens before position 0, such as padding on the left, get the vector of position 0.
        """
        n = ops.shape(inputs)[1]
        if isinstance(offset, int):
            return inputs + ops.cast(ops.expand_dims(self.embeddings[offset : offset + n], 0), inputs.dtype)
        positions = ops.arange(n, dtype="int32") + ops.reshape(ops.cast(offset, "int32"), (-1, 1))
        positions = ops.clip(positions, 0, self.embeddings.shape[0] - 1)  # (1 or b, n)
        return inputs + ops.cast(ops.take(self.embeddings, positions, axis=0), inputs.dtype)

    def multiply_adds(self, input_shape):
        """None."""
        return 0

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return super().get_config() | {"max_length": self.max_length, "initializer": initializer}


def sinusoids(length, dim, max_wavelength=10_000.0):
    """Sines in the even and cosines in the odd columns, of positions over wavelengths: `(length, dim)`, NumPy."""
    angles = np.arange(length)[:, None] / max_wavelength ** (np.arange(0, dim, 2) / dim)
    table = np.empty((length, 2 * angles.shape[1]))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table[:, :dim]


@keras.saving.register_keras_serializable("kzoo")
class SinePositionEncoding(keras.Layer):
    """Adds sines and cosines of the position, which need no training: `(b, n, d)` to the same shape.

    Vaswani et al. (2017), Attention Is All You Need, arXiv:1706.03762, section 3.5: column 2k has
    sin(position / max_wavelength^(2k/d)), column 2k + 1 the cosine.

    Args:
        max_wavelength: over 2π, of the last pair of columns.
    """

    def __init__(self, max_wavelength=10_000.0, **kwargs):
        super().__init__(**kwargs)
        check_positive(max_wavelength=max_wavelength)
        self.max_wavelength = max_wavelength
        self.supports_masking = True

    def build(self, input_shape):
        check_rank(input_shape, 3, "tokens of shape (b, n, d) with a known d")
        self._table = None if input_shape[1] is None else sinusoids(*input_shape[1:], self.max_wavelength)
        self.built = True

    def call(self, inputs, offset=0):
        """`offset` is the position of the first token: a number, a scalar tensor, or one for each example, `(b,)`."""
        first = isinstance(offset, int) and offset == 0
        if first and self._table is not None and inputs.shape[1] == len(self._table):
            return inputs + ops.expand_dims(ops.convert_to_tensor(self._table, inputs.dtype), 0)
        return inputs + ops.cast(self._computed(inputs, offset), inputs.dtype)

    def _computed(self, inputs, offset):
        """The table's rows for the length and positions that come: `(1 or b, n, d)`."""
        _, n, d = ops.shape(inputs)
        dtype = "float64" if keras.backend.standardize_dtype(inputs.dtype) == "float64" else "float32"
        offsets = ops.reshape(ops.cast(offset, "int32"), (-1, 1))
        positions = ops.cast(ops.arange(n, dtype="int32") + offsets, dtype)  # (1 or b, n)
        frequencies = self.max_wavelength ** (-np.arange(0, d, 2) / d)
        angles = ops.expand_dims(positions, -1) * ops.convert_to_tensor(frequencies, dtype)
        table = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
        return ops.reshape(table, (-1, n, 2 * len(frequencies)))[..., :d]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"max_wavelength": self.max_wavelength}
