"""Whether a quantised artefact is good enough, on data of the task.

Its numbers differ from the model's by design, so that what counts is what it is for. With labelled examples that is
the task's metric; with representative examples only, how often it gives the model's own answer; with neither, the
difference, against a loose tolerance.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from kzoo.export.report import FAILED, PASSED
from kzoo.export.verify import difference

REPRESENTATIVE, METRIC = "representative", "metric"
BATCH = 32
NUMBERS = 2**20  # of inputs in a batch at most: an eager call of Keras keeps all activations until its end
AGREEMENT = 0.9  # of a quantised classifier with the model, where nobody knows what is true


@dataclass
class Quality:
    """What quantised artefacts are judged by.

    Attributes:
        inputs: arrays by input, of each kind of data there is (`REPRESENTATIVE`, `METRIC`).
        outputs: what the model gives for them.
        labels: of the data of kind `METRIC`.
        metric: a function of labels and outputs, larger is better; `None` is accuracy.
        max_drop: how much of it may be lost.
    """

    inputs: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    labels: object = None
    metric: object = None
    max_drop: float = 0.01


def prepare(runner, representative=None, metric_data=None, metric=None, max_drop=0.01):
    """Runs the model on the caller's examples.

    Raises:
        ValueError: if they do not fit the model, are too few, or their labels fit no output.
    """
    from kzoo.export.examples import labelled_examples, representative_examples

    if not 0 <= max_drop < 1:
        raise ValueError(f"max_drop is a share, such as 0.01 for one point. Received: max_drop={max_drop!r}")
    quality = Quality(metric=metric, max_drop=max_drop)
    if representative is not None:
        quality.inputs[REPRESENTATIVE] = representative_examples(representative, runner.inputs)
    if metric_data is not None:
        quality.inputs[METRIC], quality.labels = labelled_examples(metric_data, runner.inputs)
    for kind, arrays in quality.inputs.items():
        quality.outputs[kind] = run_in_batches(runner, arrays)
    if quality.labels is not None:
        _measure(quality, quality.outputs[METRIC])  # labels that fit no output are told before any work
    return quality


def run_in_batches(runner, arrays):
    """A runner's outputs for arrays of any length; where it fixes its batch the last one is filled up."""
    fixed = {tensor.shape[0] for tensor in runner.inputs if tensor.shape} - {None}
    count = len(next(iter(arrays.values())))
    numbers = sum(math.prod(array.shape[1:]) for array in arrays.values())
    size = max(fixed, default=max(1, min(BATCH, NUMBERS // max(1, numbers))))
    parts = []
    for start in range(0, count, size):
        part = {name: array[start : start + size] for name, array in arrays.items()}
        got = min(size, count - start)
        if fixed and got < size:
            part = {
                name: np.concatenate([array, array[-1:].repeat(size - got, 0)])
                for name, array in part.items()
            }
        parts.append({name: array[:got] for name, array in runner.run(part).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def answer(runner, questions, answers):
    """Runs an artefact on the saved inputs and saves its outputs; in the worker."""
    save_arrays(
        answers, {kind: run_in_batches(runner, arrays) for kind, arrays in load_arrays(questions).items()}
    )


def judge(quality, answers, cases_difference, tolerance):
    """The verdict on one artefact.

    Args:
        quality: a `Quality`.
        answers: the file of its outputs, or `None` if there was nothing to ask.
        cases_difference: its largest difference on random inputs.
        tolerance: the largest difference allowed where only that can decide.

    Returns:
        Its status, its largest difference (on the caller's data where there is any), a line that says what decided,
        and the figures of the metric as a dict or `None`.
    """
    if not quality.inputs:
        return _by_difference(cases_difference, tolerance, "random inputs")
    given = load_arrays(answers)
    worst = max(difference(quality.outputs[kind], given[kind]) for kind in given)  # NaN if any is
    if any(not np.isfinite(array).all() for outputs in given.values() for array in outputs.values()):
        return FAILED, float("nan"), "it gives NaN or infinity", None
    if quality.labels is not None:
        return _by_metric(quality, given[METRIC], worst)
    return _by_agreement(quality.outputs[REPRESENTATIVE], given[REPRESENTATIVE], worst, tolerance)


def _by_metric(quality, outputs, worst):
    name = getattr(quality.metric, "__name__", "metric") if quality.metric else "accuracy"
    before, after = _measure(quality, quality.outputs[METRIC]), _measure(quality, outputs)
    figures = {"name": name, "model": before, "artefact": after}
    count = len(next(iter(outputs.values())))
    line = f"{name} {after:.4f}, the model {before:.4f}, on {count} examples"
    if before - after <= quality.max_drop:
        return PASSED, worst, line, figures
    return FAILED, worst, f"{line}: more than {quality.max_drop:g} lost", figures


def _by_agreement(expected, outputs, worst, tolerance):
    agreements = {name: _agreement(array, outputs[name]) for name, array in expected.items()}
    others = [name for name, agreement in agreements.items() if agreement is None]
    known = [agreement for agreement in agreements.values() if agreement is not None]
    lines, passed, figures = [], True, None
    if known:
        lowest, count = min(known), len(next(iter(outputs.values())))
        lines.append(f"top-1 agreement {lowest:.1%} on {count} representative examples")
        passed = lowest >= AGREEMENT
        figures = {"name": "agreement", "model": 1.0, "artefact": lowest}
    if others:
        apart = difference(
            {name: expected[name] for name in others}, {name: outputs[name] for name in others}
        )
        status, _, line, _ = _by_difference(apart, tolerance, "representative examples")
        lines.append(line)
        passed = passed and status == PASSED
    if passed:
        return PASSED, worst, ", ".join(lines), figures
    return FAILED, worst, f"{', '.join(lines)}: at least {AGREEMENT:.0%} is wanted", figures


def _by_difference(worst, tolerance, where):
    if worst <= tolerance:
        return PASSED, worst, f"within {tolerance:g} on {where}", None
    return FAILED, worst, f"differs from the model by {worst:.1e} on {where}, more than {tolerance:g}", None


def _measure(quality, outputs):
    """The metric of these outputs; the labels and outputs of a model with one output are plain arrays."""
    given = next(iter(outputs.values())) if len(outputs) == 1 else outputs
    if quality.metric is not None:
        return float(quality.metric(quality.labels, given))
    labels = quality.labels if isinstance(quality.labels, dict) else {next(iter(outputs)): quality.labels}
    if not set(labels) <= set(outputs) or (len(outputs) > 1 and not isinstance(quality.labels, dict)):
        raise ValueError(
            f"labels must be a dict by output: {', '.join(outputs)}. Received: {', '.join(labels)}"
        )
    return float(np.mean([_accuracy(array, outputs[name]) for name, array in labels.items()]))


def _accuracy(labels, scores):
    if scores.ndim >= 2 and labels.shape == scores.shape[:-1] and scores.shape[-1] > 1:
        return np.mean(labels == scores.argmax(-1))
    raise ValueError(
        "labels must be class numbers, one per row of scores; for anything else give a metric(labels, outputs). "
        f"Received: labels of shape {labels.shape} for outputs of shape {scores.shape}"
    )


def _agreement(expected, given):
    """How often two arrays of scores have their largest in the same place; `None` if they are not scores."""
    if expected.ndim < 2 or expected.shape[-1] < 2 or expected.dtype.kind != "f":
        return None
    return float(np.mean(expected.argmax(-1) == given.argmax(-1)))


def save_arrays(path, groups):
    """Writes a dict of dicts of arrays to one `.npz` file."""
    arrays = {f"{kind}/{name}": array for kind, named in groups.items() for name, array in named.items()}
    np.savez(path, **arrays)


def load_arrays(path):
    """Reads what `save_arrays` wrote."""
    groups = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            kind, name = key.split("/", 1)
            groups.setdefault(kind, {})[name] = arrays[key]
    return groups
