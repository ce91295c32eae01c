"""What the fast ways on PyTorch share: values of variables, when a fused kernel may serve, and memory order."""

import keras
import torch
from torch.nn import functional as F

PLAIN_DTYPES = (torch.float32, torch.float64)


def tensor(variable):
    """The torch tensor of a Keras variable (under the current scopes); tensors, such as LoRA's sum, and `None` stay."""
    return variable.value if isinstance(variable, keras.Variable) else variable


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


FEW_ROWS = range(2, 8)  # so many the other way round are faster, measured with MKL on an EPYC


def product(x, weight, bias=None):
    """`x weightᵀ + bias` over the last axis, of a weight `(out, in)` that lies so in memory.

    A few rows, as in decoding, times a wide weight: the weight is then on the left, where it is read in order.
    """
    rows = x.numel() // max(x.shape[-1], 1)
    wide = weight.shape[0] > weight.shape[1]
    if rows not in FEW_ROWS or not wide or torch.is_grad_enabled() or x.device.type != "cpu":
        return F.linear(x, weight, bias)
    columns = x.reshape(rows, -1).t()
    y = weight @ columns if bias is None else torch.addmm(bias.unsqueeze(1), weight, columns)
    return y.t().contiguous().view(*x.shape[:-1], weight.shape[0])


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
