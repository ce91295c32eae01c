"""Fast convolutions and pooling on PyTorch, for `torch_accelerate.py`.

Activations lie channels-last, as Keras shapes them, and PyTorch's operators take the permuted view; a kernel keeps its
Keras shape, say `(height, width, in, out)`, with its memory in the order of that view. `zeros` is a `ZeroPadding2D`
whose work an operator does as well (`torch_fusion.py`).
"""

from torch.nn import functional as F

from kzoo.backend.state import replace
from kzoo.backend.torch_layout import (
    activated,
    channels_first,
    channels_last,
    kernels_serve,
    lay_out,
    same_padding,
    tensor,
)


def pads_of(layer, lengths):
    """The places before and after each spatial axis."""
    if layer.padding == "valid":
        return [(0, 0) for _ in lengths]
    if layer.padding == "causal":
        return [(layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0)]
    return same_padding(lengths, layer.kernel_size, layer.strides, layer.dilation_rate)


def padded(x, pads, value=0.0):
    """The input and the padding left to the operator, which can only pad both sides alike."""
    if all(left == right for left, right in pads):
        return x, [left for left, _ in pads]
    return F.pad(x, [side for pad in reversed(pads) for side in pad], value=value), 0


def finished(layer, x, ndim):
    return activated(layer, channels_last(x, ndim))


def convolution(layer):
    """`Conv1D` to `Conv3D`: kernels lie as `(out, *spatial, in)`, and activations are never copied."""
    rank = layer.rank
    spatial = tuple(range(rank))
    if layer.data_format == "channels_first":
        lay_out(layer._kernel, (rank + 1, rank) + spatial)
        return "kernel in the engine's memory order"
    lay_out(layer._kernel, (rank + 1,) + spatial + (rank,))
    operator = F.conv3d if rank == 3 else F.conv2d
    widen = (1,) * (2 - rank)  # see `channels_first`
    strides, dilation = widen + layer.strides, widen + layer.dilation_rate

    def call(original, inputs, zeros=None):
        kernel = tensor(layer.kernel)
        if not kernels_serve(inputs) or kernel.dtype != inputs.dtype:
            return original(inputs if zeros is None else zeros.call(inputs))
        pads = [(0, 0)] * len(widen) + (list(zeros.padding) if zeros else pads_of(layer, inputs.shape[1:-1]))
        x, padding = padded(channels_first(inputs), pads)
        kernel = kernel.unsqueeze(0) if widen else kernel
        kernel = kernel.permute((kernel.ndim - 1, kernel.ndim - 2) + tuple(range(kernel.ndim - 2)))
        x = operator(x, kernel, tensor(layer.bias), strides, padding, dilation, layer.groups)
        return finished(layer, x, inputs.ndim)

    replace(layer, "call", call)
    return "kernel in the engine's memory order, activations never copied"


def each_channel(kernel):
    """A kernel `(*spatial, in, multiplier)` as `(in * multiplier, 1, height, width)`: a view, once laid out."""
    rank = kernel.ndim - 2
    x = kernel.permute((rank, rank + 1) + tuple(range(rank)))
    x = x.reshape((-1, 1) + tuple(kernel.shape[:rank]))
    return x.unsqueeze(2) if rank == 1 else x


def depthwise(layer):
    """`DepthwiseConv1D` and `2D`."""
    require_channels_last(layer)
    rank, widen = layer.rank, (1,) * (2 - layer.rank)
    lay_out(layer.kernel, (rank, rank + 1) + tuple(range(rank)))
    strides, dilation = widen + layer.strides, widen + layer.dilation_rate

    def call(original, inputs, zeros=None):
        kernel = tensor(layer.kernel)
        if not kernels_serve(inputs) or kernel.dtype != inputs.dtype:
            return original(inputs if zeros is None else zeros.call(inputs))
        pads = [(0, 0)] * len(widen) + (list(zeros.padding) if zeros else pads_of(layer, inputs.shape[1:-1]))
        x, padding = padded(channels_first(inputs), pads)
        x = F.conv2d(
            x, each_channel(kernel), tensor(layer.bias), strides, padding, dilation, inputs.shape[-1]
        )
        return finished(layer, x, inputs.ndim)

    replace(layer, "call", call)
    return "kernel in the engine's memory order, activations never copied"


def separable(layer):
    """`SeparableConv1D` and `2D`: depthwise, then one by one."""
    require_channels_last(layer)
    rank, widen = layer.rank, (1,) * (2 - layer.rank)
    spatial = tuple(range(rank))
    lay_out(layer.depthwise_kernel, (rank, rank + 1) + spatial)
    lay_out(layer.pointwise_kernel, (rank + 1,) + spatial + (rank,))
    strides, dilation = widen + layer.strides, widen + layer.dilation_rate

    def call(original, inputs):
        first, second = tensor(layer.depthwise_kernel), tensor(layer.pointwise_kernel)
        if not kernels_serve(inputs) or first.dtype != inputs.dtype:
            return original(inputs)
        pads = [(0, 0)] * len(widen) + pads_of(layer, inputs.shape[1:-1])
        x, padding = padded(channels_first(inputs), pads)
        x = F.conv2d(x, each_channel(first), None, strides, padding, dilation, inputs.shape[-1])
        second = second.unsqueeze(0) if widen else second
        x = F.conv2d(x, second.permute(3, 2, 0, 1), tensor(layer.bias))
        return finished(layer, x, inputs.ndim)

    replace(layer, "call", call)
    return "both kernels in the engine's memory order, activations never copied"


def pooling(layer):
    """`MaxPooling1D` and `2D`, `AveragePooling1D` and `2D`: on the view, where Keras copies to channels first."""
    require_channels_last(layer)
    mean = layer.pool_mode == "average"
    if mean and layer.padding == "same":
        raise NotImplementedError("Keras averages over repeated borders (padding='same')")
    widen = (1,) * (2 - len(layer.pool_size))
    window, strides = widen + layer.pool_size, widen + layer.strides
    operator = F.avg_pool2d if mean else F.max_pool2d

    def call(original, inputs, zeros=None):
        if not kernels_serve(inputs):
            return original(inputs if zeros is None else zeros.call(inputs))
        x = channels_first(inputs)
        pads = zeros.padding if zeros else [(0, 0)] * len(window)
        if layer.padding == "same":
            pads = same_padding(x.shape[2:], window, strides, (1,) * len(window))
        x, padding = padded(x, pads, -float("inf"))
        return channels_last(operator(x, window, strides, padding), inputs.ndim)

    replace(layer, "call", call)
    return "pooled where it lies"


def require_channels_last(layer):
    if layer.data_format == "channels_first":
        raise NotImplementedError("it is channels first")
