"""Training steps of a GRU on a processor, for `torch_recurrent.py`: its gradient by hand, with few calls per step.

PyTorch records a dozen operations for every step of `torch.gru` and goes through them backwards one by one. Here what
each step's gradient needs is computed for the whole sequence at once, and three calls per step are left.

Shapes: b batch, t time, d inputs, u units. Gates stand as Keras has them: update z, reset r, new n.
"""

import torch


class GRU(torch.autograd.Function):
    """`h' = z h + (1 - z) n`, `n = tanh(x W_n + r (h U_n + c_n))`, of `(b, t, d)` from a state `(b, u)`: `(b, t, u)`.

    Cho et al. (2014), arXiv:1406.1078, resetting after the product as cuDNN does.
    """

    @staticmethod
    def forward(ctx, x, start, kernel, recurrent_kernel, bias):
        b, t, d = x.shape
        u = recurrent_kernel.shape[0]
        rows = x.transpose(0, 1).reshape(t * b, d)
        both = torch.cat([bias[0, : 2 * u] + bias[1, : 2 * u], bias[0, 2 * u :]])
        gates = torch.addmm(both, rows, kernel).view(t, b, 3 * u)
        states, inner = x.new_empty(t + 1, b, u), x.new_empty(t, b, u)
        states[0] = start
        to_gates, to_new, new_bias = (
            recurrent_kernel[:, : 2 * u],
            recurrent_kernel[:, 2 * u :],
            bias[1, 2 * u :],
        )
        z, r, n = (part.unbind(0) for part in gates.split(u, -1))
        zr, products, states_of = gates[..., : 2 * u].unbind(0), inner.unbind(0), states.unbind(0)
        h = states_of[0]
        for i in range(t):
            zr[i].addmm_(h, to_gates).sigmoid_()
            torch.addmm(new_bias, h, to_new, out=products[i])
            n[i].addcmul_(r[i], products[i]).tanh_()
            h = torch.lerp(n[i], h, z[i], out=states_of[i + 1])
        ctx.save_for_backward(x, start, kernel, recurrent_kernel, bias, gates, states, inner)
        return states[1:].transpose(0, 1)

    @staticmethod
    def backward(ctx, gradient):
        x, start, kernel, recurrent_kernel, bias, gates, states, inner = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted: through PyTorch's own operations
            given = x, start, kernel, recurrent_kernel, bias
            wanted = [value for value, needed in zip(given, ctx.needs_input_grad) if needed]
            found = iter(torch.autograd.grad(native(*given), wanted, gradient, create_graph=True))
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        t, b, u = inner.shape
        z, r, n = gates.split(u, -1)
        # What a gradient of the state is multiplied by to be that of each gate, for all steps at once.
        to_n = (1 - z) * (1 - n * n)
        slopes = torch.empty_like(gates)
        of_z, of_r, of_product = slopes.split(u, -1)
        torch.sub(states[:-1], n, out=of_z).mul_(z).addcmul_(of_z, z, value=-1)
        torch.mul(to_n, r, out=of_product)
        torch.mul(of_product, inner, out=of_r).addcmul_(of_r, r, value=-1)

        of_states = gradient.transpose(0, 1).clone(memory_format=torch.contiguous_format)  # (t, b, u)
        of_start = torch.zeros_like(start)
        before = (of_start, *of_states[:-1].unbind(0))
        of_state, spread = of_states.unbind(0), of_states.unsqueeze(2).unbind(0)
        parted, whole, kept = slopes.view(t, b, 3, u).unbind(0), slopes.unbind(0), z.unbind(0)
        back = recurrent_kernel.t()
        for i in range(t - 1, -1, -1):
            parted[i].mul_(spread[i])  # slopes become gradients
            before[i].addcmul_(of_state[i], kept[i]).addmm_(whole[i], back)

        flat = slopes.view(t * b, 3 * u)
        of_recurrent = states[:-1].reshape(t * b, u).t() @ flat
        of_recurrent_bias = flat.sum(0)
        torch.mul(to_n, of_states, out=of_product)  # the input's part of n is not reset
        rows = x.transpose(0, 1).reshape(t * b, -1)
        of_x = (flat @ kernel.t()).view(t, b, -1).transpose(0, 1) if ctx.needs_input_grad[0] else None
        return of_x, of_start, rows.t() @ flat, of_recurrent, torch.stack([flat.sum(0), of_recurrent_bias])


def native(x, start, kernel, recurrent_kernel, bias):
    """The same by `torch.gru`: `(b, t, u)`."""
    weights = [torch_order(value).t().contiguous() for value in (kernel, recurrent_kernel)]
    weights += [torch_order(row) for row in bias]
    return torch.gru(x, start.unsqueeze(0), weights, True, 1, 0.0, True, False, True)[0]


def torch_order(value):
    """The gates of a GRU's weights as PyTorch has them: reset before update."""
    update, reset, new = value.chunk(3, -1)
    return torch.cat([reset, update, new], -1)
