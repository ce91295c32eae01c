"""What a critic and a generator play for: five GAN losses, each with its two sides, on logits.

`loss.critic(real, fake)` and `loss.generator(fake)` take the critic's logits of real and generated examples and give
scalars. As `keras.losses.Loss` the same object is the critic's side with labels: `y_true` is 1 for real and 0 for
generated examples, and values are those of `y_pred`'s shape.
"""

import keras
from keras import ops


class AdversarialLoss(keras.losses.Loss):
    """The critic's and the generator's loss from three functions of logits: `real`, `fake` and `fool`.

    Real examples are judged as generated ones of the opposite logits, unless a subclass says otherwise.
    """

    def __init__(self, reduction="sum_over_batch_size", name=None, dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def real(self, logits):
        """The critic's values for real examples."""
        return self.fake(-logits)

    def fake(self, logits):
        """The critic's values for generated examples."""
        raise NotImplementedError

    def fool(self, logits):
        """The generator's values."""
        raise NotImplementedError

    def critic(self, real_logits, fake_logits):
        """`mean(real(real_logits)) + mean(fake(fake_logits))`, a scalar."""
        real_logits, fake_logits = ops.cast(real_logits, self.dtype), ops.cast(fake_logits, self.dtype)
        return ops.mean(self.real(real_logits)) + ops.mean(self.fake(fake_logits))

    def generator(self, fake_logits):
        """`mean(fool(fake_logits))`, a scalar."""
        return ops.mean(self.fool(ops.cast(fake_logits, self.dtype)))

    def call(self, y_true, y_pred):
        sign = 1.0 - 2.0 * ops.cast(y_true, y_pred.dtype)
        return self.fake(sign * y_pred)


@keras.saving.register_keras_serializable("kzoo")
class MinimaxGAN(AdversarialLoss):
    """Critic `-log σ(r) - log(1 - σ(f))`, generator `log(1 - σ(f))`.

    The game as first stated. The generator's gradient vanishes where the critic is sure: train with `NonSaturatingGAN`.
    Goodfellow et al. (2014), arXiv:1406.2661, equation 1.
    """

    def fake(self, logits):
        return ops.softplus(logits)

    def fool(self, logits):
        return -ops.softplus(logits)


@keras.saving.register_keras_serializable("kzoo")
class NonSaturatingGAN(MinimaxGAN):
    """Critic `-log σ(r) - log(1 - σ(f))`, generator `-log σ(f)`.

    Goodfellow et al. (2014), arXiv:1406.2661, section 3.
    """

    def fool(self, logits):
        return ops.softplus(-logits)


@keras.saving.register_keras_serializable("kzoo")
class WassersteinGAN(AdversarialLoss):
    """Critic `f - r`, generator `-f`. Arjovsky, Chintala and Bottou (2017), arXiv:1701.07875.

    The critic must be kept Lipschitz: by a gradient penalty (arXiv:1704.00028), `kzoo.layers.SpectralNormalization` or
    clipped weights.
    """

    def fake(self, logits):
        return logits

    def fool(self, logits):
        return -logits


@keras.saving.register_keras_serializable("kzoo")
class HingeGAN(AdversarialLoss):
    """Critic `max(0, 1 - r) + max(0, 1 + f)`, generator `-f`.

    Lim and Ye (2017), arXiv:1705.02894; used in SN-GAN and BigGAN.
    """

    def fake(self, logits):
        return ops.maximum(1.0 + logits, 0.0)

    def fool(self, logits):
        return -logits


@keras.saving.register_keras_serializable("kzoo")
class LeastSquaresGAN(AdversarialLoss):
    """Critic `½(r - 1)² + ½f²`, generator `½(f - 1)²`. Mao et al. (2016), arXiv:1611.04076, equation 9."""

    def real(self, logits):
        return 0.5 * ops.square(logits - 1.0)

    def fake(self, logits):
        return 0.5 * ops.square(logits)

    def fool(self, logits):
        return 0.5 * ops.square(logits - 1.0)

    def call(self, y_true, y_pred):
        return 0.5 * ops.square(y_pred - y_true)
