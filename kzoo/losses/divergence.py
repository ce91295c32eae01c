"""The regularising part of an evidence lower bound: Kullback–Leibler divergences in closed form.

The other part is in Keras: `BinaryCrossentropy(from_logits=True)` is the negative log-likelihood of Bernoulli
observations, half of a squared error that of normal ones with variance 1; both summed over the observation. Kingma and
Welling (2013), arXiv:1312.6114.
"""

from keras import ops

MAX_LOG = 60.0  # e^60, times a squared mean of 1e4, is still finite in float32


def kl_normal(mean, log_variance, prior_mean=0.0, prior_log_variance=0.0):
    """`KL(N(mean, e^log_variance) ‖ N(prior_mean, e^prior_log_variance))` of diagonal normals, in nats.

    `½ Σ [e^(v - v₀) + (μ - μ₀)² e^-v₀ - 1 - (v - v₀)]` over the last axis: `(…, d)` to `(…,)`. Where an exponent is
    above 60, a standard deviation of e^30 times the prior's, the exponents of its row are lowered by the excess: value
    and gradient stay finite.
    Kingma and Welling (2013), arXiv:1312.6114, appendix B.

    Args:
        mean: `(…, d)`.
        log_variance: `(…, d)`, the logarithm of the variance.
        prior_mean: a number or a tensor that broadcasts to `mean`.
        prior_log_variance: likewise.
    """
    if _is_zero(prior_mean) and _is_zero(prior_log_variance):
        moved, wider = ops.square(mean), log_variance
    else:
        wider = log_variance - prior_log_variance
        narrow = -ops.convert_to_tensor(prior_log_variance, dtype=mean.dtype)
        scale = ops.exp(ops.minimum(narrow, MAX_LOG))
        moved = ops.square(mean - prior_mean) * scale
    # The ones of all dimensions are taken off at the end: one pass less over the tensors.
    return 0.5 * (ops.sum(ops.exp(_lowered(wider)) + moved - wider, axis=-1) - mean.shape[-1])


def _lowered(exponent):
    """The exponents, less what the largest of the row has above the limit; gradients are those of the exponents.

    Cheaper than a minimum of every exponent, whose gradient takes several passes, and steeper than its zero.
    """
    highest = ops.max(ops.stop_gradient(exponent), axis=-1, keepdims=True)
    return exponent - ops.relu(highest - MAX_LOG)


def _is_zero(prior):
    return isinstance(prior, (int, float)) and prior == 0


def kl_categorical(logits, prior_logits=None):
    """`KL(softmax(logits) ‖ softmax(prior_logits))`, in nats, over the last axis: `(…, classes)` to `(…,)`.

    The prior is uniform if it is not given, as for a Gumbel-softmax autoencoder (Jang, Gu and Poole 2016,
    arXiv:1611.01144).
    """
    log_p = ops.log_softmax(logits, axis=-1)
    log_q = ops.log_softmax(ops.zeros_like(logits) if prior_logits is None else prior_logits, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
