"""What an exported model has to reproduce: seeded inputs, and the model's own outputs on its own engine."""

import keras
import numpy as np

from kzoo.export.report import ExportError, in_short
from kzoo.export.runners import KerasRunner
from kzoo.export.verify import difference

# Where a model leaves a length, height or width free, the first case has one of these and the next ones
# its multiples: a conversion that mixes up axes shows when no two sizes are alike.
SIZES = (16, 32, 8, 4, 64, 224, 1)


def reference_cases(model, batch_sizes, seed):
    """Runs a model on random inputs of each batch size.

    Float inputs are normal (uniform in [0, 1) if those give NaN), integers are below the vocabulary of the
    embedding that reads them. A model that fixes its batch runs at that one only.

    Returns:
        A list of pairs: inputs by name, outputs by name.

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
    for size in SIZES if free else SIZES[:1]:
        for draw in ("standard_normal", "random"):
            generator = np.random.default_rng(seed)
            try:
                cases = []
                for index, batch in enumerate(batch_sizes):
                    inputs = _random_inputs(runner.inputs, bounds, batch, size * (index + 1), generator, draw)
                    cases.append((inputs, runner.run(inputs)))
            except Exception as error:  # every engine and layer says in its own way that a size does not fit
                problem = problem or in_short(error)
                break
            if all(np.isfinite(output).all() for _, outputs in cases for output in outputs.values()):
                _check_deterministic(runner, *cases[0])
                return cases
    if problem is None:
        problem = "it gives NaN or infinity"
        raise ExportError(
            f"the model itself fails on random inputs: {problem}. Received: model={model.name!r}"
        )
    raise ExportError(f"the model itself fails on random inputs: {problem}") from problem


def _random_inputs(tensors, bounds, batch, size, generator, draw):
    arrays = {}
    for tensor in tensors:
        shape = (batch, *(size if axis is None else axis for axis in tensor.shape[1:]))
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
