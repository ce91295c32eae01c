"""Weight normalisation: a kernel's length and direction are learned apart."""

import keras
from keras import ops

from kzoo.layers.arguments import check_positive
from kzoo.layers.kernels import KernelWrapper, check_axes, reduced_axes


def norms(kernel, axes):
    """Lengths of the weight vectors that lie along the axes, which are kept with size 1."""
    return ops.sqrt(ops.sum(ops.square(kernel), axis=axes, keepdims=True))


@keras.saving.register_keras_serializable("kzoo")
class WeightNormalization(KernelWrapper):
    """Runs a layer with the kernel `g · v / ‖v‖`: a gain per output and a direction, both learned.

    Salimans and Kingma (2016), Weight Normalization, arXiv:1602.07868. `v` is the wrapped layer's own kernel and the
    gain starts as its length, so that wrapping changes nothing until training does. `initialize(x)` sets gain and
    bias from data, as the paper does.

    ```python
    layer = kzoo.layers.WeightNormalization(keras.layers.Conv2D(64, 3))
    ```

    Args:
        layer: a layer with a kernel.
        axes: the kernel's axes that number outputs; by default told by the layer (the last one of a dense layer or
            convolution, the last two of a depthwise one, the last but one of a transposed one).
        weight: the name of the variable to normalise.
    """

    def __init__(self, layer, axes=None, weight="kernel", **kwargs):
        super().__init__(layer, weight, **kwargs)
        self.axes = check_axes(axes)

    def build(self, input_shape):
        super().build(input_shape)
        shape = self.kernel.shape
        self._reduced = reduced_axes(self.layer, len(shape), self.axes)
        self.gain = self.add_weight(
            [1 if axis in self._reduced else size for axis, size in enumerate(shape)],
            # Called when the kernel has its value, which may be later than now.
            lambda shape, dtype: ops.cast(norms(self.kernel_value, self._reduced), dtype),
            autocast=False,
            name="gain",
        )

    @property
    def normalized_kernel(self):
        """The kernel that the wrapped layer is run with."""
        v = self.kernel_value
        return v * (ops.cast(self.gain.value, v.dtype) / norms(v, self._reduced))

    def call(self, inputs, training=None, mask=None):
        return self.run(self.normalized_kernel, inputs, training=training, mask=mask)

    def initialize(self, inputs, scale=1.0):
        """Sets gain and bias so that on `inputs` every output, before activation, has mean 0 and deviation `scale`.

        Section 3 of the paper: call it once, outside training, on a first batch. For layers whose outputs are
        numbered by their last axis and by one axis of the kernel, and that have a bias.

        Raises:
            ValueError: if the layer has no bias or its outputs are numbered otherwise.
        """
        check_positive(scale=scale)
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build(inputs.shape)
        bias = getattr(self.layer, "bias", None)
        channels_last = getattr(self.layer, "data_format", "channels_last") == "channels_last"
        if bias is None or len(bias.shape) != 1 or bias.shape[0] != self.gain.shape[-1] or not channels_last:
            raise ValueError(
                "initialize needs a layer with a bias and channels last, whose kernel has its outputs on its last "
                f"axis. Received: layer={self.layer.name!r}"
            )
        activation, self.layer.activation = self.layer.activation, keras.activations.linear
        try:
            outputs = ops.cast(self(inputs), self.gain.dtype) - ops.cast(bias.value, self.gain.dtype)
        finally:
            self.layer.activation = activation
        mean, variance = ops.moments(outputs, axes=tuple(range(len(outputs.shape) - 1)))
        factor = scale / ops.sqrt(variance + keras.config.epsilon())
        self.gain.assign(self.gain.value * ops.reshape(factor, self.gain.shape))
        bias.assign(-mean * factor)

    def get_config(self):
        return super().get_config() | {"axes": self.axes}
