"""DropConnect: weights, not units, are dropped in training."""

import keras
from keras import ops

from kzoo.layers.arguments import check_rate
from kzoo.layers.kernels import KernelWrapper


@keras.saving.register_keras_serializable("kzoo")
class DropConnect(KernelWrapper):
    """Runs a layer with each weight dropped with probability `rate` in training, the others divided by `1 - rate`.

    Wan et al. (2013), Regularization of Neural Networks using DropConnect, ICML. As there, each example has a mask
    of its own with `per_example=True`, which takes the kernel's memory once per example; without it a batch shares
    one mask, as is usual for recurrent kernels (Merity et al. 2017, arXiv:1708.02182: `weight="recurrent_kernel"`).
    In inference the weights are the mean ones; the paper also averages over Gaussian draws, which this does not.

    ```python
    layer = kzoo.layers.DropConnect(keras.layers.Dense(64, "relu"), rate=0.5)
    ```

    Args:
        layer: a layer with a kernel: dense, convolution, recurrent.
        rate: the probability of dropping a weight.
        per_example: whether each example has a mask of its own.
        seed: of the masks.
        weight: the name of the variable whose entries are dropped.
    """

    def __init__(self, layer, rate=0.5, per_example=False, seed=None, weight="kernel", **kwargs):
        super().__init__(layer, weight, **kwargs)
        check_rate(rate=rate)
        self.rate = rate
        self.per_example = per_example
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None, mask=None):
        if not training or self.rate == 0:
            options = {"training": training, "mask": mask}
            return self.layer(inputs, **{name: options[name] for name in self._options})
        kernel, shape = self.kernel_value, tuple(self.kernel.shape)
        if not self.per_example:
            return self.run(self._dropped(kernel, shape), inputs, training=training, mask=mask)
        if mask is not None:
            raise ValueError("per_example=True works without a mask only. Received: a masked input")
        kernels = self._dropped(ops.expand_dims(kernel, 0), (ops.shape(inputs)[0], *shape))

        def one(pair):
            x, kernel = pair
            return ops.squeeze(self.run(kernel, ops.expand_dims(x, 0), training=training), 0)

        return ops.vectorized_map(one, (inputs, kernels))

    def _dropped(self, kernel, shape):
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return kernel * ops.cast(draws >= self.rate, kernel.dtype) / (1.0 - self.rate)

    def get_config(self):
        own = {"rate": self.rate, "per_example": self.per_example, "seed": self.seed}
        return super().get_config() | own
