"""What learners of image generators share: their batches, checks of what `fit` is given, and drawing samples."""

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_whole

LABELS = "labels"


def takes_labels(network):
    """Whether a network asks for classes beside its one tensor."""
    return LABELS in (network.input if isinstance(network.input, dict) else {})


def given(network, tensor, labels=None):
    """The inputs of a network: the tensor, or the dictionary of it and the labels that it asks for."""
    if not takes_labels(network):
        return tensor
    (name,) = set(network.input) - {LABELS}
    return {name: tensor, LABELS: labels}


def shape_of(network):
    """The shape of one example of a network's tensor."""
    shapes = network.input if isinstance(network.input, dict) else {"": network.input}
    return next(tuple(tensor.shape[1:]) for name, tensor in shapes.items() if name != LABELS)


def parts_of(data, network):
    """A batch as a dictionary: `"images"`, `"labels"` where the network takes some, and what else was handed in.

    Args:
        data: what `update` is given: `x`, `(x, y)` or `(x, y, weights)`, where x is images or a dictionary.
        network: the one that takes the images.

    Raises:
        ValueError: if images have another shape, or labels are missing.
    """
    x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    parts = dict(x) if isinstance(x, dict) else {"images": x}
    shape = shape_of(network)
    if "images" not in parts or tuple(parts["images"].shape[1:]) != shape:
        received = {name: tuple(tensor.shape) for name, tensor in parts.items()}
        raise ValueError(f"the images must be (b, {', '.join(map(str, shape))}). Received: {received}")
    if takes_labels(network):
        labels = parts.get(LABELS, y)
        if labels is None:
            raise ValueError(
                "this model is of classes: give fit the images and their labels. Received: no labels"
            )
        parts[LABELS] = ops.cast(ops.reshape(labels, (-1,)), "int32")
    else:
        parts.pop(LABELS, None)
    return parts


def check_data(x, y, network, num_classes):
    """Raises a `ValueError` for images outside [0, 1] or labels that are no classes, of arrays or a first batch.

    Args:
        x, y: what `fit` is given.
        network: the one that takes the images.
        num_classes: how many classes there are.
    """
    if isinstance(x, keras.utils.PyDataset):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(x[0])
    if isinstance(x, dict):
        x, y = x.get("images"), x.get(LABELS, y)
    if not isinstance(x, np.ndarray):
        return
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"images must lie between 0 and 1: divide by 255, or use kzoo.data.Preprocessing. "
            f"Received: values from {low:g} to {high:g}"
        )
    if takes_labels(network) and isinstance(y, np.ndarray):
        check_classes(y, num_classes)


def check_classes(labels, num_classes):
    """Raises a `ValueError` for labels that are no whole numbers in `[0, num_classes)`; 0 for any number of classes."""
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    if labels.dtype.kind not in "iu" or low < 0 or (num_classes and high >= num_classes):
        raise ValueError(
            f"labels must be whole numbers in [0, {num_classes or 'classes'}). "
            f"Received: {labels.dtype} from {low} to {high}"
        )


def num_classes_of(network):
    """How many classes a network knows: the rows of its layer `label_embedding`; 0 if it has no such layer."""
    for layer in network._flatten_layers():
        if layer.name == "label_embedding":
            return layer.input_dim
    return 0


def drawn(network, count, labels, seed, num_classes, batch_size=256):
    """Images that a network makes of normal noise: float32 `(count, h, w, c)`.

    Args:
        network: of noise or codes, and labels if it takes some.
        count: how many.
        labels: a class for all, or one for each, where the network takes some; `None` where not.
        seed: of the noise. One seed draws the same on every engine, and the first of many are the few of the same seed.
        num_classes: how many classes there are.
        batch_size: how many at a time.

    Raises:
        ValueError: if labels are missing, too many, or no classes.
    """
    check_whole(count=count)
    labels = checked_labels(network, labels, count, num_classes)
    noise = np.random.default_rng(seed).normal(size=(count, *shape_of(network))).astype("float32")
    return network.predict(given(network, noise, labels), batch_size=batch_size, verbose=0).astype("float32")


def checked_labels(network, labels, count, num_classes):
    """One label for each of `count` examples as int32, or `None` for a network without classes.

    Raises:
        ValueError: if labels are missing or too many, or are no classes.
    """
    if takes_labels(network) != (labels is not None):
        wanted = "needs labels=" if labels is None else "knows no classes"
        raise ValueError(f"this model {wanted}. Received: labels={labels!r}")
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape not in ((), (count,)):
        raise ValueError(f"give one label, or {count} of them. Received: labels of shape {labels.shape}")
    check_classes(labels, num_classes)
    return np.broadcast_to(labels, (count,)).astype("int32")


def follow(mean, model, momentum, steps):
    """Moves a network's weights towards another's, at first faster, so that the initial ones are soon forgotten.

    Args:
        mean: the network that follows.
        model: the one that is trained.
        momentum: what is kept of the mean; in the first steps n it is (1 + n) / (10 + n), if that is less.
        steps: n, a tensor or variable.
    """
    n = ops.cast(steps, "float32")
    momentum = ops.minimum(momentum, (1 + n) / (10 + n))
    for average, weight in zip(mean.weights, model.weights, strict=True):
        keep = ops.cast(momentum, average.dtype)
        average.assign(keep * average + (1 - keep) * ops.cast(weight, average.dtype))
