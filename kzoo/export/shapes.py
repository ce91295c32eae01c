"""The shapes that an artefact is made for: chosen by the caller, or what a format can leave free."""

import re


def parse_shape(text):
    """`input=1x64x8`, as the command line takes it, as a name and a tuple; `?` leaves a dimension free.

    Raises:
        ValueError: if it reads otherwise.
    """
    match = re.fullmatch(r"(\w+)=((?:\d+|\?)(?:x(?:\d+|\?))*)", text.strip())
    if not match:
        raise ValueError(f"a shape is written NAME=1x64x8, with ? for a free dimension. Received: {text!r}")
    return match[1], tuple(None if size == "?" else int(size) for size in match[2].split("x"))


def check_chosen(chosen, tensors):
    """The caller's shapes as a dict of tuples by input, each of which fits the model's input.

    Raises:
        ValueError: if an input is unknown, or a shape contradicts the model or another input's batch.
    """
    chosen, known = dict(chosen or {}), {tensor.name: tensor for tensor in tensors}
    for name, shape in chosen.items():
        if name not in known:
            raise ValueError(f"the inputs are {', '.join(known)}. Received: static_shape for {name!r}")
        shape = tuple(None if size in (None, -1) else size for size in shape)
        wanted = known[name].shape
        fits = len(shape) == len(wanted) and all(
            size is None or (isinstance(size, int) and size > 0 and want in (None, size))
            for size, want in zip(shape, wanted)
        )
        if not fits:
            raise ValueError(f"the shape does not fit the input {known[name]}. Received: {shape}")
        chosen[name] = tuple(want if size is None else size for size, want in zip(shape, wanted))
    if len({shape[0] for shape in chosen.values() if shape}) > 1:
        raise ValueError(f"all inputs must have the same batch size. Received: static_shape={chosen}")
    return chosen


def resolve(attempt, tensors, chosen, sizes):
    """The shape of each input for one attempt, with `None` where it stays free; or `None` if there is nothing to try.

    Args:
        attempt: an `Attempt`.
        tensors: the model's inputs.
        chosen: the caller's shapes by input.
        sizes: a full shape by input, of the first comparison.
    """
    if attempt.static and not chosen:
        return None
    batch = attempt.batch
    if attempt.static:
        batch = next(iter(chosen.values()))[0]
    shapes = {}
    for tensor in tensors:
        if attempt.static and tensor.name in chosen:
            shapes[tensor.name] = tuple(chosen[tensor.name])
            continue
        shape = [batch if axis == 0 and size is None else size for axis, size in enumerate(tensor.shape)]
        if not attempt.lengths:
            given = sizes[tensor.name]
            shape = [given[axis] if axis and size is None else size for axis, size in enumerate(shape)]
        shapes[tensor.name] = tuple(shape)
    return shapes


def fits(tensors, arrays):
    """Whether an artefact with these inputs takes arrays of these shapes, one by one if its batch is 1."""
    return all(
        tensor.name in arrays
        and len(tensor.shape) == arrays[tensor.name].ndim
        and all(
            want in (None, got) or (axis == 0 and want == 1)
            for axis, (want, got) in enumerate(zip(tensor.shape, arrays[tensor.name].shape))
        )
        for tensor in tensors
    )


def describe(tensors, wanted):
    """What an artefact takes, in words.

    Args:
        tensors: the artefact's inputs.
        wanted: the model's inputs; what they leave free is worth a word.
    """
    free = {
        (tensor.name, axis) for tensor in wanted for axis, size in enumerate(tensor.shape) if size is None
    }
    left = {
        (tensor.name, axis) for tensor in tensors for axis, size in enumerate(tensor.shape) if size is None
    }
    if any(axis for _, axis in free - left):
        return f"takes {', '.join(map(str, tensors))}"
    batches = {tensor.shape[0] for tensor in tensors if tensor.shape}
    length = any(axis for _, axis in left)
    if None in batches or not batches:
        return "any batch and length" if length else "any batch"
    return f"batch {max(batches)}, any length" if length else f"batch {max(batches)}"


def check_description(runner, inputs, outputs):
    """Compares what an artefact says of itself with arrays of the model, where it cannot be run.

    Raises:
        ValueError: if names or shapes differ.
    """
    for kind, tensors, arrays in (("inputs", runner.inputs, inputs), ("outputs", runner.outputs, outputs)):
        if {tensor.name for tensor in tensors} != set(arrays):
            names = [tensor.name for tensor in tensors]
            raise ValueError(f"the {kind} should be {sorted(arrays)}. Received: {names}")
        for tensor in tensors:
            # Where a size is free Core ML leaves the shapes of outputs out.
            if tensor.shape and not fits([tensor], arrays):
                raise ValueError(f"should take arrays of {arrays[tensor.name].shape}. Received: {tensor}")
