"""Fast ways for Keras layers on PyTorch: fused kernels, and weights in the memory order that these want.

A kernel keeps its Keras shape, say `(height, width, in, out)`, but its memory may lie in another order, so
that the permuted view which PyTorch's operator takes needs no copy. Assignments, optimizers and files see the
shape.

Replaced methods hand over to Keras's own whenever they are traced (`torch.compile`, export), run on shapes
alone (the `meta` device), or get a dtype or mask that the fused kernel does not compute alike.
"""

import math

import keras
import torch
from keras import layers, ops
from torch.nn import functional as F

from kzoo.backend.state import replace

PLAIN_DTYPES = (torch.float32, torch.float64)


def tensor(variable):
    """The torch tensor of a Keras variable (under the current scopes), or `None`."""
    return None if variable is None else ops.convert_to_tensor(variable)


def kernels_serve(x):
    """Whether the fused kernels give for this input what Keras's own code gives."""
    if (
        not isinstance(x, torch.Tensor)
        or x.is_meta
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    ):
        return False
    return x.dtype in PLAIN_DTYPES or (x.is_cuda and x.is_floating_point())


def lay_out(variable, order):
    """Moves the memory of a variable so that its dimensions lie in the given order, outermost first."""
    with torch.no_grad():
        value = variable.value
        value.data = (
            value.data.permute(order).contiguous().permute([order.index(axis) for axis in range(len(order))])
        )


# Convolutions and dense layers


def convolution(layer):
    """`Conv1D` to `Conv3D`: kernels lie as `(out, *spatial, in)`, and activations are never copied."""
    rank, first = layer.rank, layer.data_format == "channels_first"
    spatial = tuple(range(rank))
    if first:
        lay_out(layer._kernel, (rank + 1, rank) + spatial)
        return "kernel in the engine's memory order"
    lay_out(layer._kernel, (rank + 1,) + spatial + (rank,))
    operator = F.conv3d if rank == 3 else F.conv2d
    widen = (1,) * (2 - rank)  # a sequence is an image of height 1, since only images can lie channels-last
    strides, dilation = widen + layer.strides, widen + layer.dilation_rate

    def paddings(lengths):
        if layer.padding == "valid":
            return [(0, 0) for _ in lengths]
        if layer.padding == "causal":
            return [(layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0)]
        settings = zip(lengths, layer.kernel_size, layer.strides, layer.dilation_rate)
        totals = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in settings]
        return [(total // 2, total - total // 2) for total in totals]

    def call(original, inputs):
        kernel = tensor(layer.kernel)
        if not kernels_serve(inputs) or kernel.dtype != inputs.dtype:
            return original(inputs)
        pads = [(0, 0)] * len(widen) + paddings(inputs.shape[1:-1])
        x = torch.movedim(inputs.unsqueeze(1) if widen else inputs, -1, 1)
        kernel = kernel.unsqueeze(0) if widen else kernel
        kernel = kernel.permute((kernel.ndim - 1, kernel.ndim - 2) + tuple(range(kernel.ndim - 2)))
        if all(left == right for left, right in pads):
            padding = [left for left, _ in pads]
        else:
            x, padding = F.pad(x, [side for pad in reversed(pads) for side in pad]), 0
        x = operator(x, kernel, tensor(layer.bias), strides, padding, dilation, layer.groups)
        x = torch.movedim(x, 1, -1)
        x = x.squeeze(1) if widen else x
        return x if layer.activation is None else layer.activation(x)

    replace(layer, "call", call)
    return "kernel in the engine's memory order, activations never copied"


def linear(layer, contracted):
    """Contracts the last axes of the input with the first of the kernel in one `linear`, bias included."""
    kernel = layer._kernel
    rest = kernel.shape[contracted:]
    order = tuple(range(contracted, len(kernel.shape))) + tuple(range(contracted))
    lay_out(kernel, order)
    fan_in, fan_out = math.prod(kernel.shape[:contracted]), math.prod(rest)

    def call(original, inputs, training=None):
        weight = tensor(layer.kernel)
        if not kernels_serve(inputs) or weight.dtype != inputs.dtype:
            return original(inputs, training=training)
        bias = tensor(layer.bias)
        batch = inputs.shape[: inputs.ndim - contracted]
        x = inputs if contracted == 1 else inputs.reshape(batch + (fan_in,))
        weight = weight.permute(order).reshape(fan_out, fan_in)
        x = F.linear(x, weight, None if bias is None else bias.reshape(fan_out))
        x = x if len(rest) == 1 else x.reshape(batch + rest)
        return x if layer.activation is None else layer.activation(x)

    replace(layer, "call", call)
    return "one fused linear with bias"


def dense(layer):
    return linear(layer, contracted=1)


def einsum_dense(layer):
    """Serves the equations of the form `batch + contracted, contracted + rest -> batch + rest`."""
    operands, _, output = layer.equation.replace(" ", "").partition("->")
    inputs, _, kernel = operands.partition(",")
    contracted = "".join(axis for axis in kernel if axis not in output)
    count, rest = len(contracted), kernel[len(contracted) :]
    straight = count and inputs.endswith(contracted) and kernel.startswith(contracted)
    if "." in layer.equation or not straight or output != inputs[: len(inputs) - count] + rest:
        raise NotImplementedError(f"{layer.equation} is not a plain matrix product")
    if layer.bias is not None and tuple(layer.bias.shape) != tuple(layer._kernel.shape[count:]):
        raise NotImplementedError(f"its bias has other axes ({layer.bias_axes}) than its kernel")
    return linear(layer, contracted=count)


# Normalization


def batch_normalization(layer):
    """Statistics, normalization and their gradient in one kernel each."""
    if layer.renorm:
        raise NotImplementedError("it renormalizes")
    if layer.synchronized:
        raise NotImplementedError("its statistics are synchronized over devices")
    ndim = layer.input_spec.ndim
    last = layer.axis in (-1, ndim - 1)
    if not last and layer.axis != 1:
        raise NotImplementedError(f"it normalizes axis {layer.axis}")

    def call(original, inputs, training=None, mask=None):
        if not kernels_serve(inputs) or inputs.dtype not in PLAIN_DTYPES or mask is not None:
            return original(inputs, training=training, mask=mask)
        mean, variance, gamma, beta = (
            None if variable is None else ops.cast(variable, inputs.dtype)
            for variable in (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
        )
        x = inputs.reshape(1, -1, 1, inputs.shape[-1]).permute(0, 3, 1, 2) if last else inputs
        if training and layer.trainable:
            x, batch_mean, inverse = torch.native_batch_norm(
                x, gamma, beta, None, None, True, 0.0, layer.epsilon
            )
            batch_variance = inverse.detach() ** -2 - layer.epsilon
            layer.moving_mean.assign(mean * layer.momentum + batch_mean.detach() * (1 - layer.momentum))
            layer.moving_variance.assign(variance * layer.momentum + batch_variance * (1 - layer.momentum))
        else:
            x = F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, layer.epsilon)
        x = x.permute(0, 2, 3, 1).reshape(inputs.shape) if last else x
        return ops.cast(x, layer.compute_dtype)

    replace(layer, "call", call)
    return "fused batch normalization"


def layer_normalization(layer):
    """The call to PyTorch's kernel without the conversions around it."""
    if layer.rms_scaling:
        raise NotImplementedError("it scales by the variance (rms_scaling)")
    if list(layer.axis) != [-1]:
        raise NotImplementedError(f"it normalizes axes {layer.axis}")

    def call(original, inputs):
        if not kernels_serve(inputs) or inputs.dtype != torch.float32 or layer.compute_dtype != "float32":
            return original(inputs)
        return F.layer_norm(inputs, inputs.shape[-1:], tensor(layer.gamma), tensor(layer.beta), layer.epsilon)

    replace(layer, "call", call)
    return "one call of the fused kernel"


# Recurrent layers


def named(activation):
    return getattr(activation, "__name__", str(activation))


def gates(value, swap, units):
    """Orders the gates of a GRU's weights as PyTorch does: reset before update."""
    if not swap:
        return value
    return torch.cat([value[..., units : 2 * units], value[..., :units], value[..., 2 * units :]], dim=-1)


def recurrent(layer, kernel, activation, gated=True, swap=False):
    """The whole sequence in one call of `kernel` (`torch.lstm`, `torch.gru` …), which loops in C++."""
    cell = layer.cell
    if cell.activation is not activation:
        raise NotImplementedError(f"its activation is {named(cell.activation)}")
    if gated and cell.recurrent_activation is not keras.activations.sigmoid:
        raise NotImplementedError(f"its recurrent activation is {named(cell.recurrent_activation)}")
    if not swap:
        lay_out(cell.kernel, (1, 0))
        lay_out(cell.recurrent_kernel, (1, 0))

    def parameters():
        weights = [tensor(cell.kernel), tensor(cell.recurrent_kernel)]
        weights = [gates(weight, swap, cell.units).t().contiguous() for weight in weights]
        if cell.bias is None:
            return weights
        bias = tensor(cell.bias)
        biases = bias if bias.ndim == 2 else (bias, torch.zeros_like(bias))
        return weights + [gates(bias, swap, cell.units) for bias in biases]

    def inner_loop(original, sequences, initial_state, mask, training=False):
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        states = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
        weights = parameters()
        served = kernels_serve(sequences) and weights[0].dtype == sequences.dtype and sequences.shape[1] > 0
        if mask is not None:
            carry_wanted = len(states) == 2 and (layer.return_state or layer.stateful)
            served = served and not carry_wanted and right_padded(mask)
        if not served:
            return original(sequences, initial_state, mask, training=training)
        if training and cell.dropout:
            sequences = sequences * cell.get_dropout_mask(sequences[:, 0, :]).unsqueeze(1)
        if mask is not None:
            sequences, restore = pack(sequences, mask, layer.go_backwards, layer.zero_output_for_mask)
        elif layer.go_backwards:
            sequences = sequences.flip(1)
        # A stateful layer overwrites its states in place later, which the gradient must not see.
        states = [(state.clone() if layer.stateful else state).unsqueeze(0) for state in states]
        start = tuple(states) if len(states) == 2 else states[0]
        training, has_bias = torch.is_grad_enabled(), cell.bias is not None
        outputs, *ends = kernel(sequences, start, weights, has_bias, 1, 0.0, training, False, True)
        ends = [end.squeeze(0) for end in ends]
        if mask is not None:
            outputs, ends[0] = restore(outputs, states[0].squeeze(0))
        last = outputs[:, -1]
        return last, outputs if layer.return_sequences else last.unsqueeze(1), ends

    replace(layer, "inner_loop", inner_loop)
    return "the whole sequence in one fused kernel, right-padded masks included"


def right_padded(mask):
    """Whether in every row of `(b, t)` the masked steps come last."""
    mask = mask.bool()
    return mask.ndim == 2 and bool((mask[:, 1:] <= mask[:, :-1]).all())


def pack(sequences, mask, backwards, zeros):
    """Moves the valid steps of every row to the front, in the order in which they are read.

    Returns:
        The sequences, and a function that takes the outputs for these and the initial state, and gives the
        outputs and the final state of a loop that stands still at masked steps.
    """
    steps = torch.arange(mask.shape[1], device=mask.device)
    lengths = mask.bool().sum(1, keepdim=True)  # (b, 1)
    shift = mask.shape[1] - lengths if backwards else 0  # read backwards, the masked steps come first

    def pick(values, index):
        return values.gather(1, index.clamp(min=0)[..., None].expand(-1, -1, values.shape[-1]))

    def restore(outputs, start):
        source = steps - shift
        valid = (source >= 0) & (source < lengths)
        held = (source >= 0) & (lengths > 0) & (not zeros)
        final = torch.where(lengths > 0, pick(outputs, lengths - 1).squeeze(1), start)
        outputs = pick(outputs, torch.minimum(source, lengths - 1))
        return torch.where((valid | held)[..., None], outputs, 0.0), final

    return (pick(sequences, lengths - 1 - steps) if backwards else sequences), restore


def lstm(layer):
    return recurrent(layer, torch.lstm, keras.activations.tanh)


def gru(layer):
    if not layer.cell.reset_after:
        raise NotImplementedError("it resets before the product (reset_after=False)")
    return recurrent(layer, torch.gru, keras.activations.tanh, swap=True)


def simple_rnn(layer):
    kernels = {keras.activations.tanh: torch.rnn_tanh, keras.activations.relu: torch.rnn_relu}
    activation = layer.cell.activation
    if activation not in kernels:
        raise NotImplementedError(f"its activation is {named(activation)}")
    return recurrent(layer, kernels[activation], activation, gated=False)


# Optimizers


def lay_out_slots(optimizer, variables):
    """Lays the slots of an optimizer (its moments) in the order of the weights whose shape they share."""
    orders = {}
    for variable in variables:
        strides = variable.value.stride()
        order = tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))
        orders.setdefault(tuple(variable.shape), set()).add(order)
    for slot in optimizer.variables:
        found = orders.get(tuple(slot.shape), ())
        if len(found) == 1 and len(slot.shape) > 1:
            lay_out(slot, next(iter(found)))


def adam(optimizer):
    """Keras's Adam in six passes over the weights instead of ten."""
    if (
        type(optimizer).__name__ != "Adam"
        or not isinstance(optimizer, keras.optimizers.Adam)
        or optimizer.amsgrad
    ):
        return

    def update(original, grads, variables, learning_rate):
        values = [variable.value for variable in variables]
        if not all(kernels_serve(value) and value.device.type == "cpu" for value in values):
            return original(grads, variables, learning_rate)
        places = [optimizer._get_variable_index(variable) for variable in variables]
        m = [optimizer._momentums[place].value for place in places]
        v = [optimizer._velocities[place].value for place in places]
        step = float(optimizer.iterations.value) + 1
        rate = float(learning_rate) * math.sqrt(1 - optimizer.beta_2**step) / (1 - optimizer.beta_1**step)
        torch._foreach_lerp_(m, grads, 1 - optimizer.beta_1)
        torch._foreach_mul_(v, optimizer.beta_2)
        torch._foreach_addcmul_(v, grads, grads, value=1 - optimizer.beta_2)
        scale = torch._foreach_sqrt(v)
        torch._foreach_add_(scale, optimizer.epsilon)
        torch._foreach_addcdiv_(values, m, scale, value=-rate)

    replace(optimizer, "_parallel_update_step", update)


def finish(model):
    """Serves the optimizer, now or when the training step is made."""
    if not isinstance(model, keras.Model):
        return

    def serve():
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            lay_out_slots(optimizer, model.trainable_variables)
            adam(optimizer)

    def make_train_function(original, *args, **kwargs):
        result = original(*args, **kwargs)
        serve()
        return result

    replace(model, "make_train_function", make_train_function)
    serve()


RULES = {
    layers.Conv1D: convolution,
    layers.Conv2D: convolution,
    layers.Conv3D: convolution,
    layers.Dense: dense,
    layers.EinsumDense: einsum_dense,
    layers.BatchNormalization: batch_normalization,
    layers.LayerNormalization: layer_normalization,
    layers.LSTM: lstm,
    layers.GRU: gru,
    layers.SimpleRNN: simple_rnn,
}
