"""What the fast ways on PyTorch share: values of variables, when a fused kernel may serve, and memory order."""

import keras
import torch
from keras.src.backend.common.global_state import GLOBAL_STATE_TRACKER
from torch.nn import functional as F

PLAIN_DTYPES = (torch.float32, torch.float64)


def tensor(variable):
    """The torch tensor of a Keras variable (under the current scopes); tensors, such as LoRA's sum, and `None` stay."""
    if not isinstance(variable, keras.Variable):
        return variable
    # Keras asks for these three by a function each, which takes longer than a small kernel.
    scopes = vars(GLOBAL_STATE_TRACKER)
    if scopes.get("stateless_scope") or scopes.get("autocast_scope") or scopes.get("torch_device"):
        return variable.value
    return variable.value if variable._value is None else variable._value


def kernel_of(layer):
    """The tensor of `layer.kernel`, without what Keras asks of layers that are neither quantized nor have LoRA."""
    return tensor(layer.kernel if layer.lora_enabled or layer.quantization_mode else layer._kernel)


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


# Keras's own of these ask about the tensor first, which takes longer than to compute a small one.
ACTIVATIONS = {
    keras.activations.relu: torch.relu,
    keras.activations.tanh: torch.tanh,
    keras.activations.silu: F.silu,
    keras.activations.gelu: F.gelu,
}


def activated(layer, x):
    """`layer.activation` of a tensor."""
    activation = layer.activation
    return x if activation is None else ACTIVATIONS.get(activation, activation)(x)


FEW_ROWS = range(2, 8)  # so many the other way round are faster, measured with MKL on an EPYC


def product(x, weight, bias=None):
    """`x weightᵀ + bias` over the last axis, of a weight `(out, in)` that lies so in memory.

    A few rows, as in decoding, times a wide weight: the weight is then on the left, where it is read in order, and the
    rows of what comes out lie side by side.
    """
    rows = x.numel() // max(x.shape[-1], 1)
    if rows not in FEW_ROWS or torch.is_grad_enabled() or x.device.type != "cpu":
        return F.linear(x, weight, bias)
    outputs, inputs = weight.shape
    y = x.reshape(rows, inputs)
    if outputs > inputs:
        y = weight @ y.t() if bias is None else torch.addmm(bias.unsqueeze(1), weight, y.t())
        y = y.t()
    else:
        y = y @ weight.t() if bias is None else torch.addmm(bias, y, weight.t())
    return y.view(*x.shape[:-1], outputs)


def lay_out(variable, order):
    """Moves the memory of a variable so that its dimensions lie in the given order, outermost first."""
    with torch.no_grad():
        value = variable.value
        value.data = (
            value.data.permute(order).contiguous().permute([order.index(axis) for axis in range(len(order))])
        )


def channels_first(x):
    """`(b, *spatial, c)` as `(b, c, *spatial)`; a sequence becomes an image of height 1. No copy.

    Only images can lie channels-last in PyTorch, hence the height.
    """
    return torch.movedim(x.unsqueeze(1) if x.ndim == 3 else x, -1, 1)


def channels_last(x, ndim):
    """The way back to `ndim` dimensions."""
    x = torch.movedim(x, 1, -1)
    return x.squeeze(1) if ndim == 3 else x


def same_padding(lengths, window, strides, dilation):
    """The places before and after each axis that give `ceil(length / stride)` outputs, as TensorFlow pads."""
    settings = zip(lengths, window, strides, dilation)
    totals = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in settings]
    return [(total // 2, total - total // 2) for total in totals]
