"""How near an image comes to another: peak signal-to-noise ratio and structural similarity, means over images."""

import keras
import numpy as np
from keras import ops

LEAST_ERROR = 1e-10  # of the squared maximum: equal images count as 100 dB


class ImageMean(keras.metrics.Mean):
    """The mean of one value per image. `y_true` and `y_pred` are `(b, h, w, c)`, `sample_weight` is `(b,)`."""

    def __init__(self, max_value=1.0, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        if max_value <= 0:
            raise ValueError(f"the range of values must be positive. Received: max_value={max_value}")
        self.max_value = max_value
        self._direction = "up"

    def of_images(self, y_true, y_pred):
        """`(b, h, w, c)` twice to `(b,)`."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        if len(y_true.shape) != 4 or len(y_pred.shape) != 4:
            raise ValueError(
                "images must be (b, h, w, c). "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        super().update_state(self.of_images(y_true, y_pred), sample_weight)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "max_value": self.max_value}


@keras.saving.register_keras_serializable("kzoo")
class PSNR(ImageMean):
    """`10 log10(max_value² / mean squared error)` in decibels, the mean over images.

    Equal images would be infinite and count as 100 dB. `keras.ops.psnr` is the same of one pair of tensors.

    Args:
        max_value: the range of values: 1 or 255.
    """

    def __init__(self, max_value=1.0, name="psnr", dtype=None):
        super().__init__(max_value, name=name, dtype=dtype)

    def of_images(self, y_true, y_pred):
        error = ops.mean(ops.square(y_true - y_pred), axis=(1, 2, 3)) / self.max_value**2
        return -10.0 * ops.log10(ops.maximum(error, LEAST_ERROR))


@keras.saving.register_keras_serializable("kzoo")
class SSIM(ImageMean):
    """Structural similarity, at most 1: means, variances and covariance under a Gaussian window, the mean over images.

    `(2 μx μy + c1)(2 σxy + c2) / ((μx² + μy² + c1)(σx² + σy² + c2))` wherever the window fits into the image, per
    channel. Wang et al. (2004), IEEE Transactions on Image Processing 13.

    Args:
        max_value: the range of values: 1 or 255.
        filter_size: sides of the window.
        filter_sigma: its standard deviation in pixels.
        k1, k2: `c = (k · max_value)²`.
        padding: `"valid"` as in the paper, or `"reflect"`: windows also around the pixels of the border, with the image
            mirrored there, as torchmetrics has it.

    Raises:
        ValueError: for images smaller than the window, a window without a middle, or another padding.
    """

    def __init__(
        self,
        max_value=1.0,
        filter_size=11,
        filter_sigma=1.5,
        k1=0.01,
        k2=0.03,
        padding="valid",
        name="ssim",
        dtype=None,
    ):
        super().__init__(max_value, name=name, dtype=dtype)
        if padding not in ("valid", "reflect"):
            raise ValueError(f'padding must be "valid" or "reflect". Received: padding={padding!r}')
        if filter_size < 1 or filter_size % 2 == 0:
            raise ValueError(f"the window has a middle: its side is odd. Received: filter_size={filter_size}")
        self.filter_size = filter_size
        self.filter_sigma = filter_sigma
        self.k1 = k1
        self.k2 = k2
        self.padding = padding
        places = np.arange(filter_size) - (filter_size - 1) / 2
        window = np.exp(-0.5 * (places / filter_sigma) ** 2)
        self._window = window / window.sum()

    def of_images(self, y_true, y_pred):
        height, width = y_true.shape[1:3]
        if min(height or self.filter_size, width or self.filter_size) < self.filter_size:
            raise ValueError(
                f"images must be at least as large as the window of {self.filter_size} pixels. "
                f"Received: y_true.shape={y_true.shape}"
            )
        # In units of the range, so that squares of bytes keep their digits.
        x, y = y_true / self.max_value, y_pred / self.max_value
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = self._blurred([x, y, x * x, y * y, x * y])
        c1, c2 = self.k1**2, self.k2**2
        squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
        variances = ops.relu(mean_xx + mean_yy - squares)
        structure = (2.0 * (mean_xy - product) + c2) / (variances + c2)
        return ops.mean((2.0 * product + c1) / (squares + c1) * structure, axis=(1, 2, 3))

    def _blurred(self, images):
        """Each `(b, h, w, c)` under the window, which is a product of two: one pass per axis, channels apart."""
        count, channels = len(images), images[0].shape[-1]
        stacked = ops.concatenate(images, axis=-1)
        if self.padding == "reflect":
            border = (self.filter_size // 2, self.filter_size // 2)
            stacked = ops.pad(stacked, ((0, 0), border, border, (0, 0)), mode="reflect")
        window = ops.convert_to_tensor(self._window, dtype=self.dtype)
        for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
            kernel = ops.tile(ops.reshape(window, shape), (1, 1, count * channels, 1))
            stacked = ops.depthwise_conv(stacked, kernel, padding="valid", data_format="channels_last")
        return ops.split(stacked, count, axis=-1)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("filter_size", "filter_sigma", "k1", "k2", "padding")}
        return super().get_config() | own
