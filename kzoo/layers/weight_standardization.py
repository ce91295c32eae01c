"""Weight standardisation: each output's weights have mean 0 and variance 1."""

import keras
from keras import ops

from kzoo.layers.arguments import check_positive
from kzoo.layers.kernels import KernelWrapper, check_axes, reduced_axes


@keras.saving.register_keras_serializable("kzoo")
class WeightStandardization(KernelWrapper):
    """Runs a layer with `(w − mean(w)) / √(var(w) + ε)`, taken over the weights that lead to one output.

    Qiao et al. (2019), Weight Standardization, arXiv:1903.10520. For convolutions that a `GroupNormalization`
    follows; gradients flow through mean and variance.

    ```python
    layer = kzoo.layers.WeightStandardization(keras.layers.Conv2D(64, 3, use_bias=False))
    ```

    Args:
        layer: a layer with a kernel.
        epsilon: added to the variance.
        axes: the kernel's axes that number outputs; by default told by the layer, as in `WeightNormalization`.
        weight: the name of the variable to standardise.
    """

    def __init__(self, layer, epsilon=1e-5, axes=None, weight="kernel", **kwargs):
        super().__init__(layer, weight, **kwargs)
        check_positive(epsilon=epsilon)
        self.epsilon = epsilon
        self.axes = check_axes(axes)

    @property
    def standardized_kernel(self):
        """The kernel that the wrapped layer is run with."""
        w = self.kernel_value
        w = w - ops.mean(w, axis=(axes := reduced_axes(self.layer, len(w.shape), self.axes)), keepdims=True)
        return w / ops.sqrt(ops.mean(ops.square(w), axis=axes, keepdims=True) + self.epsilon)

    def call(self, inputs, training=None, mask=None):
        return self.run(self.standardized_kernel, inputs, training=training, mask=mask)

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon, "axes": self.axes}
