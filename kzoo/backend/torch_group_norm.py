"""Group normalization on PyTorch over channels that lie last, for `torch_accelerate.py`.

PyTorch 2.13's own gradient for this order of memory writes to what is not there where the input's gradient is not asked
for, and dies. Here it is always asked for.

Shapes: b batch, p positions, c channels.
"""

import torch

LAST = torch.channels_last


class GroupNormalization(torch.autograd.Function):
    """Of `(b, c, p, 1)`, channels last in memory, with a scale and an offset `(c,)` or `None`."""

    @staticmethod
    def forward(ctx, x, gamma, beta, groups, epsilon):
        b, c, p, _ = x.shape
        y, mean, inverse = torch.native_group_norm(x, gamma, beta, b, c, p, groups, epsilon)
        ctx.save_for_backward(x, gamma, beta, mean, inverse)
        ctx.groups, ctx.epsilon = groups, epsilon
        return y

    @staticmethod
    def backward(ctx, gradient):
        x, gamma, beta, mean, inverse = ctx.saved_tensors
        needed = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted: in PyTorch's own order of memory
            y = torch.group_norm(x.contiguous(), ctx.groups, gamma, beta, ctx.epsilon)
            wanted = [value for value, wants in zip((x, gamma, beta), needed) if wants]
            found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
            return *(next(found) if wants else None for wants in needed), None, None
        b, c, p, _ = x.shape
        gradient = gradient.contiguous(memory_format=LAST)
        given = gradient, x, mean, inverse, gamma, b, c, p, ctx.groups
        found = torch.ops.aten.native_group_norm_backward(*given, [True, gamma is not None, beta is not None])
        return *(value if wants else None for value, wants in zip(found, needed)), None, None
