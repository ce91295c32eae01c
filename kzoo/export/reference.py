"""What an exported model has to reproduce: seeded inputs, and the model's own outputs on its own engine."""

import itertools

import keras
import numpy as np

from kzoo.export.report import ExportError, in_short
from kzoo.export.runners import KerasRunner
from kzoo.export.verify import difference

# Where a model leaves a length, height or width free, the first case has one of these and the next ones
# its multiples: a conversion that mixes up axes shows when no two sizes are alike.
SIZES = (16, 32, 8, 4, 64, 224, 1)


def reference_cases(model, batch_sizes, seed, lengths=None, chosen=None, fixed_length=False):
    """Runs a model on random inputs of each batch size.

    Float inputs are normal (uniform in [0, 1) if those give NaN), integers are below the vocabulary of the
    embedding that reads them. A model that fixes its batch runs at that one only. Where the model leaves a
    length, height or width free, each case has another one.

    Args:
        model: a built Keras model.
        batch_sizes: two or more.
        seed: of the random numbers.
        lengths: the sizes of what else is free, one or more; the first is that of the first batch size, and so on.
        chosen: shapes by input for one more case.
        fixed_length: whether to add one with the last batch size and the first length, for artefacts that fix it.

    Returns:
        A list of pairs: inputs by name, outputs by name. Those of the batch sizes come first.

    Raises:
        ExportError: if the model cannot be run on such inputs, is not finite, or is not deterministic.
    """
    runner = KerasRunner(model)
    fixed = {tensor.shape[0] for tensor in runner.inputs if tensor.shape} - {None}
    if fixed:
        batch_sizes = tuple(fixed)
    bounds = _integer_bounds(model, runner.inputs)
    free = any(None in tensor.shape[1:] for tensor in runner.inputs)
    problem = None
    for first in SIZES if free and not lengths else SIZES[:1]:
        count = max(len(batch_sizes), 2 if free else 1)
        plan = _plan(batch_sizes, lengths or [first * (index + 1) for index in range(count)])
        if free and fixed_length and len(batch_sizes) > 1:
            plan.append((batch_sizes[-1], plan[0][1], {}))
        if chosen:
            plan.append((next(iter(chosen.values()))[0] or batch_sizes[-1], plan[0][1], chosen))
        for draw in ("standard_normal", "random"):
            generator = np.random.default_rng(seed)
            try:
                cases = []
                for batch, size, shapes in plan:
                    inputs = _random_inputs(runner.inputs, bounds, batch, size, generator, draw, shapes)
                    cases.append((inputs, runner.run(inputs)))
            except Exception as error:  # every engine and layer says in its own way that a size does not fit
                problem = problem or error
                break
            if all(np.isfinite(output).all() for _, outputs in cases for output in outputs.values()):
                _check_deterministic(runner, *cases[0])
                return cases
    if problem is None:
        raise ExportError(
            f"the model itself fails on random inputs: it gives NaN or infinity. Received: model={model.name!r}"
        )
    raise ExportError(f"the model itself fails on random inputs: {in_short(problem)}") from problem


def _plan(batch_sizes, lengths):
    """Batch size, size of what else is free, and shapes that are given, of each case."""
    count = max(len(batch_sizes), len(lengths))
    pairs = zip(itertools.cycle(batch_sizes), itertools.cycle(lengths))
    return [(batch, length, {}) for batch, length in itertools.islice(pairs, count)]


def _random_inputs(tensors, bounds, batch, size, generator, draw, shapes=None):
    arrays = {}
    for tensor in tensors:
        wanted = (shapes or {}).get(tensor.name, tensor.shape)
        shape = tuple(
            (size if axis else batch) if given is None else given for axis, given in enumerate(wanted)
        )
        if _is_float(tensor):
            array = getattr(generator, draw)(shape)
        else:
            array = generator.integers(0, bounds[tensor.name], shape)
        arrays[tensor.name] = array.astype(tensor.dtype)
    return arrays


def _is_float(tensor):
    return tensor.dtype.startswith(("float", "bfloat"))


def _integer_bounds(model, tensors):
    """How large a random integer may be, by input: the smallest vocabulary among the embeddings that read it.

    Where none is found it is that of all embeddings, if no input is known to be tokens, and else 2, as for a
    mask, or 256 for bytes.
    """
    flat = getattr(model, "inputs", None) or []
    known = {tensor.name: _vocabulary(_readers(model, source)) for tensor, source in zip(tensors, flat)}
    anywhere = None if any(known.values()) else _vocabulary([model])
    bounds = {}
    for tensor in tensors:
        if _is_float(tensor):
            continue
        bound = known.get(tensor.name) or anywhere or (256 if tensor.dtype == "uint8" else 2)
        bounds[tensor.name] = min(bound, 2 if tensor.dtype == "bool" else np.iinfo(tensor.dtype).max)
    return bounds


def _vocabulary(layers):
    inner = (part for layer in layers for part in layer._flatten_layers())
    return min((part.input_dim for part in inner if isinstance(part, keras.layers.Embedding)), default=None)


def _readers(model, source):
    readers = []
    for layer in model.layers:
        try:
            inputs = keras.tree.flatten(layer.input)
        except (AttributeError, ValueError):  # used more than once, or never
            continue
        if any(tensor is source for tensor in inputs):
            readers.append(layer)
    return readers


def says_little(cases):
    """Whether outputs hardly depend on inputs, as in a deep model that was never trained.

    A comparison of such outputs passes whatever the artefact does with its inputs.
    """
    spreads = []
    for _, outputs in cases:
        for array in outputs.values():
            if array.ndim and len(array) > 1:
                array = array.astype("float64")
                spreads.append(np.ptp(array, axis=0).max() / max(np.abs(array).max(), 1e-30))
    return bool(spreads) and max(spreads) < 1e-4


def _check_deterministic(runner, inputs, outputs):
    if difference(outputs, runner.run(inputs)) > 1e-6:
        raise ExportError(
            "the model gives other outputs for the same inputs, so that no copy of it can be verified. "
            f"Received: model={runner.model.name!r}"
        )
