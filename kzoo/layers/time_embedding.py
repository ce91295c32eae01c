"""Numbers such as a time as vectors, so that a network can tell near ones from far ones."""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_positive


@keras.saving.register_keras_serializable("kzoo")
class TimeEmbedding(keras.Layer):
    """Sines, then cosines, of a number by wavelength: `(b,)` to `(b, dim)`.

    As in the code of Ho et al. (2020), arXiv:2006.11239: of k = dim / 2 frequencies the first is 1 and the last
    1 / `max_wavelength`, in equal ratios. Without weights. Angles are computed in float32, or float64 where the layer
    is, since half precision cannot tell large times apart.

    Args:
        dim: an even number, at least 4.
        max_wavelength: over 2π.
    """

    def __init__(self, dim, max_wavelength=10_000.0, **kwargs):
        super().__init__(**kwargs)
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 4 or dim % 2:
            raise ValueError(f"dim must be an even number, at least 4. Received: dim={dim!r}")
        check_positive(max_wavelength=max_wavelength)
        self.dim = dim
        self.max_wavelength = max_wavelength

    def build(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f"times must be (b,). Received: input_shape={tuple(input_shape)}")
        self.built = True

    def call(self, times):
        precise = "float64" if self.compute_dtype == "float64" else "float32"
        k = self.dim // 2
        frequencies = self.max_wavelength ** (-np.arange(k) / (k - 1))
        angles = ops.expand_dims(ops.cast(times, precise), 1) * ops.convert_to_tensor(frequencies, precise)
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        return ops.cast(waves, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim)

    def multiply_adds(self, input_shape):
        """None."""
        return 0

    def get_config(self):
        return super().get_config() | {"dim": self.dim, "max_wavelength": self.max_wavelength}
