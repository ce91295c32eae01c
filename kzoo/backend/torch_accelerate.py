"""Fast ways for Keras layers on PyTorch: fused kernels, and weights in the memory order that these want.

Here are dense layers, normalization and the optimizer; `torch_images.py` has convolutions and pooling,
`torch_recurrent.py` recurrent layers, `torch_sequences.py` embeddings and attention, `torch_graph.py` the way through a
model's graph.

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
from kzoo.backend.torch_graph import walk
from kzoo.backend.torch_group_norm import GroupNormalization
from kzoo.backend.torch_images import convolution, depthwise, pooling, separable
from kzoo.backend.torch_layout import (
    PLAIN_DTYPES,
    activated,
    kernel_of,
    kernels_serve,
    lay_out,
    product,
    tensor,
)
from kzoo.backend.torch_recurrent import gru, lstm, simple_rnn
from kzoo.backend.torch_sequences import attention, embedding, position_embedding
from kzoo.layers import MultiHeadAttention, PositionEmbedding
from kzoo.optimizers.named import NamedOptimizers

# Dense layers


def linear(layer, contracted):
    """Contracts the last axes of the input with the first of the kernel in one `linear`, bias included."""
    kernel = layer._kernel
    rest = kernel.shape[contracted:]
    order = tuple(range(contracted, len(kernel.shape))) + tuple(range(contracted))
    lay_out(kernel, order)
    fan_in, fan_out = math.prod(kernel.shape[:contracted]), math.prod(rest)
    plain = contracted == len(rest) == 1

    def call(original, inputs, training=None):
        weight = kernel_of(layer)
        if not kernels_serve(inputs) or weight.dtype != inputs.dtype:
            return original(inputs, training=training)
        bias = tensor(layer.bias)
        if plain:
            x = product(inputs, weight.t(), bias)
            return activated(layer, x)
        batch = inputs.shape[: inputs.ndim - contracted]
        x = inputs if contracted == 1 else inputs.reshape(batch + (fan_in,))
        weight = weight.permute(order).reshape(fan_out, fan_in)
        x = product(x, weight, None if bias is None else bias.reshape(fan_out))
        x = x if len(rest) == 1 else x.reshape(batch + rest)
        return activated(layer, x)

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

    def call(original, inputs, training=None, mask=None, plus=None, relu=False):
        if not kernels_serve(inputs) or inputs.dtype not in PLAIN_DTYPES or mask is not None:
            x = original(inputs, training=training, mask=mask)
            x = x if plus is None else x + plus
            return torch.relu(x) if relu else x
        mean, variance, gamma, beta = (
            None if variable is None else tensor(variable).to(inputs.dtype)
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
        if plus is not None:
            x.add_(plus.reshape(1, -1, 1, inputs.shape[-1]).permute(0, 3, 1, 2) if last else plus)
        x = torch.relu_(x) if relu else x
        x = x.permute(0, 2, 3, 1).reshape(inputs.shape) if last else x
        return x if inputs.dtype == torch.float32 else ops.cast(x, layer.compute_dtype)

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


def group_normalization(layer):
    """Statistics, normalization and their gradient in one kernel each, channels last as they lie."""
    ndim = layer.input_spec.ndim
    if layer.axis not in (-1, ndim - 1):
        raise NotImplementedError(f"it normalizes groups of axis {layer.axis}")

    def call(original, inputs):
        if not kernels_serve(inputs) or inputs.dtype != torch.float32 or layer.compute_dtype != "float32":
            return original(inputs)
        channels = inputs.shape[-1]
        x = inputs.reshape(inputs.shape[0], -1, 1, channels).permute(0, 3, 1, 2)
        x = GroupNormalization.apply(x, tensor(layer.gamma), tensor(layer.beta), layer.groups, layer.epsilon)
        return x.permute(0, 2, 3, 1).reshape(inputs.shape)

    replace(layer, "call", call)
    return "fused group normalization"


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
    """Keras's Adam and AdamW in six passes over the weights instead of ten. Their decay is Keras's own."""
    if (
        type(optimizer).__name__ not in ("Adam", "AdamW")
        or not isinstance(optimizer, keras.optimizers.Adam)
        or optimizer.amsgrad
    ):
        return

    def update(original, grads, variables, learning_rate):
        values = [variable._value for variable in variables]  # there are no scopes in a training step
        plain = all(value.dtype in PLAIN_DTYPES and value.device.type == "cpu" for value in values)
        if not (plain and kernels_serve(values[0])):
            return original(grads, variables, learning_rate)
        places = [optimizer._get_variable_index(variable) for variable in variables]
        m = [optimizer._momentums[place]._value for place in places]
        v = [optimizer._velocities[place]._value for place in places]
        step = float(optimizer.iterations.value) + 1
        rate = float(learning_rate) * math.sqrt(1 - optimizer.beta_2**step) / (1 - optimizer.beta_1**step)
        torch._foreach_lerp_(m, grads, 1 - optimizer.beta_1)
        torch._foreach_mul_(v, optimizer.beta_2)
        torch._foreach_addcmul_(v, grads, grads, value=1 - optimizer.beta_2)
        scale = torch._foreach_sqrt(v)
        torch._foreach_add_(scale, optimizer.epsilon)
        torch._foreach_addcdiv_(values, m, scale, value=-rate)

    replace(optimizer, "_parallel_update_step", update)


def clipping(optimizer):
    """A bound on the norm of all gradients together, in three passes instead of two for each weight."""
    limit = getattr(optimizer, "global_clipnorm", None)
    if not limit or optimizer.clipnorm:
        return

    def clip(original, grads):
        plain = all(isinstance(g, torch.Tensor) and g.dtype in PLAIN_DTYPES for g in grads)
        if not (grads and plain and kernels_serve(grads[0])):
            return original(grads)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        # As Keras has it: what is not finite stays so.
        return torch._foreach_mul(grads, limit * (1.0 / norm).clamp(max=1.0 / limit) + (norm - norm))

    replace(optimizer, "_clip_gradients", clip)


def finish(model):
    """Serves the graphs, and the optimizer, now or when the training step is made."""
    for part in model._flatten_layers():
        walk(part)
    if not isinstance(model, keras.Model):
        return

    def serve():
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            lay_out_slots(optimizer, model.trainable_variables)
            named = isinstance(optimizer, NamedOptimizers)
            for part in [optimizer[name].optimizer for name in optimizer] if named else [optimizer]:
                adam(part)
                clipping(part)

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
    layers.DepthwiseConv1D: depthwise,
    layers.DepthwiseConv2D: depthwise,
    layers.SeparableConv1D: separable,
    layers.SeparableConv2D: separable,
    layers.MaxPooling1D: pooling,
    layers.MaxPooling2D: pooling,
    layers.AveragePooling1D: pooling,
    layers.AveragePooling2D: pooling,
    layers.Dense: dense,
    layers.EinsumDense: einsum_dense,
    layers.BatchNormalization: batch_normalization,
    layers.LayerNormalization: layer_normalization,
    layers.GroupNormalization: group_normalization,
    layers.LSTM: lstm,
    layers.GRU: gru,
    layers.SimpleRNN: simple_rnn,
    layers.Embedding: embedding,
    layers.ReversibleEmbedding: embedding,
    MultiHeadAttention: attention,
    PositionEmbedding: position_embedding,
}
