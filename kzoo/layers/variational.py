"""Variational dropout: every weight has a noise of its own, which is learned and prunes it where it wins.

Molchanov et al. (2017), Variational Dropout Sparsifies Deep Neural Networks, arXiv:1701.05369, after Kingma et al.
(2015), Variational Dropout and the Local Reparameterization Trick, arXiv:1506.02557.
"""

import math

import keras
from keras import ops

from kzoo.backend.state import values_of
from kzoo.layers.arguments import check_choice

EPSILON = 1e-8
CLIP = 8.0  # of log α in training, as in the authors' code: beyond it the gradient is nothing but rounding
K1, K2, K3 = 0.63576, 1.87320, 1.48695  # equation 14


def divergence(log_alpha):
    """KL divergence of one weight's posterior from the log-uniform prior, by the paper's approximation.

    −KL ≈ k₁ σ(k₂ + k₃ log α) − ½ log(1 + 1/α) − k₁: 0 for α → ∞.
    """
    return K1 - K1 * ops.sigmoid(K2 + K3 * log_alpha) + 0.5 * ops.softplus(-log_alpha)


class Variational:
    """What the variational layers share: the noise's variable, its prior and the pruned kernel.

    A mixin before a Keras layer that makes `_kernel`. The divergence is that variable's regularizer: it appears once
    in `losses`, however often the layer is called.
    """

    def _set_up(self, kl_weight, threshold, log_variance, seed):
        if isinstance(kl_weight, bool) or not isinstance(kl_weight, int | float) or kl_weight < 0:
            raise ValueError(
                "kl_weight must be a number, at least 0: one over the number of training examples where the "
                f"loss is a mean. Received: kl_weight={kl_weight!r}"
            )
        self._kl_weight = kl_weight
        self.threshold = threshold
        self.log_variance = log_variance
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        super().build(input_shape)
        if self.lora_rank:
            raise ValueError(f"{type(self).__name__} knows no LoRA. Received: lora_rank={self.lora_rank}")
        self.log_sigma2 = self.add_weight(
            self._kernel.shape,
            keras.initializers.Constant(self.log_variance),
            regularizer=lambda _: self.kl_weight.value * self.divergence(),
            autocast=False,
            name="log_sigma2",
        )
        self.kl_weight = self.add_weight(
            (),
            keras.initializers.Constant(self._kl_weight),
            trainable=False,
            autocast=False,
            name="kl_weight",
        )

    @property
    def log_alpha(self):
        """The logarithm of each weight's noise variance over its square."""
        theta, log_sigma2 = values_of([self._kernel, self.log_sigma2])
        return log_sigma2 - ops.log(ops.square(theta) + EPSILON)

    def divergence(self):
        """The divergence of all weights from their prior, a scalar: what `losses` holds, before `kl_weight`."""
        return ops.sum(divergence(self.log_alpha))

    @property
    def pruned_kernel(self):
        """The means, with zeros where the noise has won: what inference uses."""
        (theta,) = values_of([self._kernel])
        return ops.where(self.log_alpha < self.threshold, theta, ops.zeros_like(theta))

    def sparsity(self):
        """The share of weights that inference leaves out."""
        return ops.mean(ops.cast(self.log_alpha >= self.threshold, "float32"))

    def _noisy(self, mean, variance):
        """A draw of the outputs: the local reparameterisation."""
        # Half precision has no room for the square root of small variances, nor for its gradient.
        wide = keras.backend.result_type(variance.dtype, "float32")
        deviation = ops.sqrt(ops.cast(variance, wide) + EPSILON)
        noise = keras.random.normal(ops.shape(mean), dtype=wide, seed=self.seed_generator)
        return mean + ops.cast(deviation * noise, mean.dtype)

    def _variance(self):
        """The weights' variances σ², with log α clipped."""
        theta, log_sigma2 = values_of([self._kernel, self.log_sigma2])
        squared = ops.square(theta)
        return ops.minimum(
            ops.maximum(ops.exp(log_sigma2), math.exp(-CLIP) * squared), math.exp(CLIP) * squared
        )

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["log_sigma2"], store["kl_weight"] = self.log_sigma2, self.kl_weight

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.log_sigma2.assign(store["log_sigma2"])
        self.kl_weight.assign(store["kl_weight"])

    def get_config(self):
        own = {"kl_weight": self._kl_weight, "threshold": self.threshold, "log_variance": self.log_variance}
        return super().get_config() | own | {"seed": self.seed}


@keras.saving.register_keras_serializable("kzoo")
class VariationalDense(Variational, keras.layers.Dense):
    """A dense layer whose weights are Gaussian with learned means θ and variances σ², and that prunes itself.

    In training outputs are drawn, `x θ + b + √(x² σ²) ε`, and the weights' divergence from a log-uniform prior is
    added to `losses`. In inference the means are used, without those whose log α = log σ²/θ² exceeds `threshold`.
    Molchanov et al. (2017), arXiv:1701.05369.

    A loss that is a mean over examples needs `kl_weight` = 1 / number of training examples. It is also a variable,
    `layer.kl_weight`, so that a callback can let it grow from 0 in the first epochs, as the paper advises.

    `(..., d)` to `(..., units)`.

    Args:
        units: number of outputs.
        kl_weight: what the divergence is multiplied by in `losses`.
        threshold: log α from which a weight is left out; the paper's 3 is a binary dropout rate above 0.95.
        log_variance: initial log σ².
        seed: of the draws.
        **kwargs: those of `keras.layers.Dense`.
    """

    def __init__(self, units, *, kl_weight=1.0, threshold=3.0, log_variance=-10.0, seed=None, **kwargs):
        super().__init__(units, **kwargs)
        self._set_up(kl_weight, threshold, log_variance, seed)

    def call(self, inputs, training=None):
        if training:
            mean = ops.matmul(inputs, self._kernel)
            variance = ops.cast(self._variance(), self.compute_dtype)
            outputs = self._noisy(mean, ops.matmul(ops.square(inputs), variance))
        else:
            outputs = ops.matmul(inputs, ops.cast(self.pruned_kernel, self.compute_dtype))
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)


@keras.saving.register_keras_serializable("kzoo")
class VariationalConv2D(Variational, keras.layers.Conv2D):
    """A convolution whose weights are Gaussian with learned means and variances, and that prunes itself.

    As `VariationalDense`: the variance of an output is the convolution of the squared input with σ².
    `(b, h, w, c)` to `(b, h', w', filters)`.

    Args:
        filters: number of output channels.
        kernel_size: as in `keras.layers.Conv2D`.
        kl_weight: what the divergence is multiplied by in `losses`.
        threshold: log α from which a weight is left out.
        log_variance: initial log σ².
        seed: of the draws.
        **kwargs: those of `keras.layers.Conv2D`.
    """

    def __init__(
        self, filters, kernel_size, *, kl_weight=1.0, threshold=3.0, log_variance=-10.0, seed=None, **kwargs
    ):
        super().__init__(filters, kernel_size, **kwargs)
        check_choice(("channels_last",), data_format=self.data_format)
        self._set_up(kl_weight, threshold, log_variance, seed)

    def call(self, inputs, training=None):
        if training:
            mean = self.convolution_op(inputs, self._kernel)
            variance = ops.cast(self._variance(), self.compute_dtype)
            outputs = self._noisy(mean, self.convolution_op(ops.square(inputs), variance))
        else:
            outputs = self.convolution_op(inputs, ops.cast(self.pruned_kernel, self.compute_dtype))
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)
