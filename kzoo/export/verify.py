"""Proves an artefact: runs it on recorded inputs and compares with what the model gave for them."""

import math

import numpy as np


def difference(expected, actual):
    """The largest difference between two dicts of arrays, each as a share of its largest expected value.

    It is max|actual - expected| / max|expected|, the worst over the outputs, and NaN where `actual` is not
    finite. For an output that should be all zeros it is max|actual|.

    Raises:
        ValueError: if names or shapes differ.
    """
    if set(expected) != set(actual):
        raise ValueError(f"the outputs should be {sorted(expected)}. Received: {sorted(actual)}")
    worst = 0.0
    for name, array in expected.items():
        ours, theirs = np.asarray(array, "float64"), np.asarray(actual[name], "float64")
        if ours.shape != theirs.shape:
            raise ValueError(f"the output {name!r} should have shape {ours.shape}. Received: {theirs.shape}")
        if not np.isfinite(theirs).all():
            return math.nan
        if ours.size:
            scale = np.abs(ours).max()
            worst = max(worst, float(np.abs(theirs - ours).max() / (scale if scale > 0 else 1.0)))
    return worst


def verify(runner, cases):
    """The largest difference of an artefact over all cases, pairs of inputs and expected outputs by name."""
    differences = [difference(outputs, runner.run(inputs)) for inputs, outputs in cases]
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def save_cases(path, cases):
    """Writes cases to one `.npz` file."""
    arrays = {}
    for index, (inputs, outputs) in enumerate(cases):
        for kind, named in (("inputs", inputs), ("outputs", outputs)):
            arrays.update({f"{index}/{kind}/{name}": array for name, array in named.items()})
    np.savez(path, **arrays)


def load_cases(path):
    """Reads what `save_cases` wrote."""
    cases = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            index, kind, name = key.split("/", 2)
            cases.setdefault(int(index), {"inputs": {}, "outputs": {}})[kind][name] = arrays[key]
    return [(cases[index]["inputs"], cases[index]["outputs"]) for index in sorted(cases)]
