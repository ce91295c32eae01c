"""Examples that a caller hands over, whatever holds them, as arrays by input."""

import itertools

import keras
import numpy as np

LEAST = 64  # examples that ranges of activations can be taken from
MOST = 1000  # more examples only take longer


def representative_examples(data, tensors):
    """Up to `MOST` examples for calibration, as arrays by input.

    Args:
        data: an array, a dict of arrays by input, or batches of them: a `tf.data.Dataset`, a `DataLoader`, a
            `PyDataset` or any iterable. Of a batch `(x, y, …)` the first is taken.
        tensors: the model's inputs.

    Raises:
        ValueError: if there are fewer than `LEAST`, or they do not fit the inputs.
    """
    named = _arrays(_gather(data, MOST), tensors, "representative")
    count = _count(named, "representative")
    if count < LEAST:
        raise ValueError(f"representative data needs {LEAST} examples or more. Received: {count}")
    if count > MOST:
        chosen = np.linspace(0, count - 1, MOST).astype(int)  # data is often in the order of its classes
        named = {name: array[chosen] for name, array in named.items()}
    return named


def labelled_examples(data, tensors):
    """The arrays by input and the labels of `(x, y)`, or of batches of them.

    Raises:
        ValueError: if they do not fit the inputs or each other.
    """
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], tuple):
        inputs, labels = data
    else:
        batches = [(batch[0], batch[1]) for batch in _batches(data)]
        if not batches:
            raise ValueError(f"metric_data must be (x, y) or batches of them. Received: {data!r}")
        inputs = _joined([batch[0] for batch in batches])
        labels = _joined([batch[1] for batch in batches])
    named = _arrays(inputs, tensors, "metric_data")
    labels = keras.tree.map_structure(_array, labels)
    lengths = {len(array) for array in keras.tree.flatten(labels)}
    if lengths != {_count(named, "metric_data")}:
        raise ValueError(f"metric_data must have as many labels as examples. Received: {sorted(lengths)}")
    return named, labels


def _gather(data, most):
    """Arrays as they are; batches, joined."""
    if isinstance(data, dict) or hasattr(data, "shape"):
        return data
    taken, count = [], 0
    for batch in _batches(data):
        taken.append(batch[0] if isinstance(batch, tuple | list) else batch)
        count += len(next(iter(taken[-1].values())) if isinstance(taken[-1], dict) else taken[-1])
        if count >= most:
            break
    if not taken:
        raise ValueError("representative data must be arrays or batches of them. Received: no batch")
    return _joined(taken)


def _batches(data):
    if isinstance(data, keras.utils.PyDataset):
        return (data[index] for index in range(len(data)))
    try:
        return iter(data)
    except TypeError:
        raise ValueError(f"examples are arrays or batches of them. Received: {type(data).__name__}") from None


def _joined(batches):
    if isinstance(batches[0], dict):
        return {name: _joined([batch[name] for batch in batches]) for name in batches[0]}
    return np.concatenate([_array(batch) for batch in batches])


def _array(value):
    return np.asarray(value) if isinstance(value, list | np.ndarray) else keras.ops.convert_to_numpy(value)


def _arrays(data, tensors, what):
    """Arrays by input, checked against the model's inputs and cast to their types."""
    names = [tensor.name for tensor in tensors]
    if not isinstance(data, dict):
        data = {names[0]: data} if len(names) == 1 else {}
    if set(data) != set(names):
        raise ValueError(
            f"{what} must be arrays for {', '.join(names)}. Received: {', '.join(data) or 'one array'}"
        )
    named = {}
    for tensor in tensors:
        array = _array(data[tensor.name])
        fits = array.ndim == len(tensor.shape) and all(
            want in (None, got) for want, got in itertools.islice(zip(tensor.shape, array.shape), 1, None)
        )
        if not fits:
            raise ValueError(f"{what} does not fit the input {tensor}. Received: {array.shape}")
        named[tensor.name] = array.astype(tensor.dtype)
    return named


def _count(named, what):
    counts = {len(array) for array in named.values()}
    if len(counts) > 1:
        raise ValueError(f"{what} must have as many of every input. Received: {sorted(counts)}")
    return counts.pop()
