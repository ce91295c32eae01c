"""Weights for every label, from those of examples."""

from keras import ops


def per_label(sample_weight, labels, dtype):
    """Weights of the labels' shape: ones, or `sample_weight`, whose missing last axes are those of one example."""
    weights = ops.ones_like(labels, dtype=dtype)
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(sample_weight, dtype)
    missing = len(labels.shape) - len(sample_weight.shape)
    if missing < 0:
        raise ValueError(
            f"weights have no more axes than labels. Received: sample_weight.shape={sample_weight.shape}, "
            f"y_true.shape={labels.shape}"
        )
    return weights * ops.reshape(sample_weight, (*ops.shape(sample_weight), *[1] * missing))
