"""What two neighbours in a model's graph can do together on PyTorch, for `torch_graph.py`.

Zeros around an image are left to the convolution behind them, which needs no copy for them. What was made for one
activation or sum alone is overwritten by it, which spares memory that would have to be fetched first. With gradients
only batch normalization does so, for the sum and the ReLU behind it: before its channels are moved to the end, since
PyTorch's gradient of overwritten views copies them; and ReLU after a sum.
"""

import collections

import keras
import torch
from keras import layers
from torch.nn import functional as F

# What these give is memory of their own, and no other layer's.
FRESH = (
    layers.Add,
    layers.BatchNormalization,
    layers.Conv2D,
    layers.Dense,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)
ACTIVATIONS = {
    keras.activations.relu: torch.relu_,
    keras.activations.silu: lambda x: F.silu(x, inplace=True),
    keras.activations.hard_silu: lambda x: F.hardswish(x, inplace=True),
}


def overwriting(operation):
    """A function of a value that puts the layer's output in its place, or `None`."""
    if type(operation) is layers.Activation:
        return ACTIVATIONS.get(operation.activation)
    if type(operation) is layers.ReLU and not operation.negative_slope and not operation.threshold:
        most = operation.max_value
        return torch.relu_ if most is None else lambda x: x.clamp_(0.0, most)
    return None


def join_neighbours(steps, outputs):
    """Tells each step what it may overwrite, and gives the steps without the zeros that others take upon themselves.

    Args:
        steps: a `Step` for each node, in the order of computation.
        outputs: the values that must be there at the end.
    """
    uses = collections.Counter([key for step in steps for key in step.inputs] + list(outputs))
    made_for_one = {key: step for step in steps for key in step.outputs if step.direct and uses[key] == 1}
    left = list(steps)
    for step in steps:
        if not step.direct:
            continue
        for place, key in enumerate(step.inputs):
            before = made_for_one.get(key)
            if before is not None and type(before.operation) in FRESH:
                _may_overwrite(step, place, before)
            elif before is not None and _takes_zeros(step.operation, before, made_for_one):
                step.zeros, step.padded, step.inputs = before.operation, key, before.inputs
                left.remove(before)
    return left


def _may_overwrite(step, place, before):
    change = overwriting(step.operation)
    normalized = type(before.operation) is layers.BatchNormalization and "call" in vars(before.operation)
    sums = type(step.operation) is layers.Add and len(step.inputs) == 2
    if normalized and (sums or change is torch.relu_):
        before.after = [(step, step.inputs[1 - place] if sums else None)]
        step.done_by.append(before)
    elif change is torch.relu_:
        for normalization in before.done_by:
            normalization.after.append((step, None))
    if sums:

        def add(inputs):
            a, b = inputs[place], inputs[1 - place]
            fits = a.shape == b.shape and a.dtype == b.dtype and not torch.is_grad_enabled()
            return a.add_(b) if fits else None

        step.overwrite, step.producer = add, before.operation
    elif change is not None:
        follows = change is torch.relu_ and type(before.operation) is layers.Add

        def activate(inputs):
            (x,) = inputs
            return change(x) if not torch.is_grad_enabled() or (follows and not x._is_view()) else None

        step.overwrite, step.producer = activate, before.operation


def _takes_zeros(operation, before, made_for_one):
    """Whether a layer, served by `torch_images.py`, computes with the zeros of the layer before it by itself."""
    zeros = before.operation
    if type(zeros) is not layers.ZeroPadding2D or zeros.data_format != "channels_last":
        return False
    if getattr(operation, "padding", None) != "valid" or "call" not in vars(operation):
        return False
    if type(operation) in (layers.Conv2D, layers.DepthwiseConv2D):
        return operation.data_format == "channels_last"
    if type(operation) is not layers.MaxPooling2D:
        return False
    # Pooling ignores what is around the image. Of numbers that are not negative the largest is the same.
    positive = made_for_one.get(before.inputs[0])
    fits = all(a == b <= size // 2 for (a, b), size in zip(zeros.padding, operation.pool_size))
    return fits and positive is not None and overwriting(positive.operation) is torch.relu_
