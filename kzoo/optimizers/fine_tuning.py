"""AdamW as pretrained networks are fine-tuned with it: a short warm-up, a straight fall to zero, clipped gradients."""

import keras

from kzoo.optimizers.schedules import Warmup


def fine_tuning_adamw(model, learning_rate, steps, *, warm_up=0.1, weight_decay=0.01, clip=1.0):
    """The optimizer of Devlin et al. (2018), arXiv:1810.04805, appendix A.3, for so many steps.

    Biases and the norms' factors do not decay.

    Args:
        model: what is trained.
        learning_rate: where it is highest.
        steps: of the whole training.
        warm_up: the share of them in which the rate rises.
        weight_decay: of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
        clip: the norm that all gradients together may have.
    """
    rise = max(1, int(warm_up * steps))
    fall = keras.optimizers.schedules.PolynomialDecay(learning_rate, max(1, steps - rise), 0.0)
    optimizer = keras.optimizers.AdamW(
        Warmup(fall, rise), weight_decay=weight_decay, epsilon=1e-6, global_clipnorm=clip
    )
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    if vectors:
        optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer
