"""SimpleRNN, LSTM and GRU with backpropagation through time.

All read `(b, t, input_dim)` and give the state after the last step, `(b, units)`, or after each, `(b, t, units)`. The
input's product with its kernel is one matrix product for all steps; only the recurrent half goes step by step. Going
back, `da` is the gradient to what enters the gates' activations (pre-activations), kept for each step, so that the
kernels' gradients are again one product. Weights lie as in Keras. Werbos (1990), Backpropagation through time.
"""

import numpy as np

from kzoo.scratch import initializers
from kzoo.scratch.activations import sigmoid
from kzoo.scratch.layer import Layer, check_axis


class _Recurrent(Layer):
    gates = 1

    def __init__(self, input_dim, units, return_sequences=False, seed=None):
        super().__init__()
        self.input_dim, self.units, self.return_sequences = input_dim, units, return_sequences
        generator = np.random.default_rng(seed)
        width = self.gates * units
        self.parameters |= {
            "kernel": initializers.glorot_uniform((input_dim, width), generator),
            "recurrent_kernel": initializers.orthogonal((units, width), generator),
            "bias": np.zeros(width),
        }

    def _check(self, x):
        check_axis(self, x, self.input_dim)
        if x.ndim != 3 or not x.shape[1]:
            raise ValueError(f"sequences have the shape (b, t, {self.input_dim}). Received: x of {x.shape}")

    def _output(self, states):
        """What leaves the layer, of the states before and after all steps, `(t + 1, b, units)`."""
        return states[1:].swapaxes(0, 1) if self.return_sequences else states[-1]

    def _arriving(self, dy, states):
        """The gradient that reaches each step's state from outside, `(t, b, units)`."""
        if self.return_sequences:
            return dy.swapaxes(0, 1)
        arriving = np.zeros_like(states[1:])
        arriving[-1] = dy
        return arriving

    def _input_gradients(self, x, da):
        """Kernel and input, from the gradient to the pre-activations of all steps, `(t, b, width)`."""
        da = da.swapaxes(0, 1)  # (b, t, width)
        self.gradients["kernel"] = np.tensordot(x, da, ((0, 1), (0, 1)))
        return da @ self.parameters["kernel"].T


class SimpleRNN(_Recurrent):
    """The plain recurrent network of Elman (1990): `h = tanh(x W + h' U + b)`, with `h'` the state before.

    Args:
        input_dim: the length of each step's input.
        units: the length of the state.
        return_sequences: whether all states are given or the last.
        seed: a seed or a NumPy generator.
    """

    def forward(self, x, training=False):
        self._check(x)
        w, u, b = self.parameters.values()
        inputs = (x @ w + b).swapaxes(0, 1)
        h = np.zeros((len(inputs) + 1, len(x), self.units), inputs.dtype)
        for t, a in enumerate(inputs):
            h[t + 1] = np.tanh(a + h[t] @ u)
        self._kept = x, h
        return self._output(h)

    def backward(self, dy):
        x, h = self._recall()
        u, arriving = self.parameters["recurrent_kernel"], self._arriving(dy, h)
        da, dh = np.empty_like(arriving), 0.0
        for t in reversed(range(len(da))):
            da[t] = (arriving[t] + dh) * (1 - h[t + 1] ** 2)
            dh = da[t] @ u.T
        self.gradients["recurrent_kernel"] = np.tensordot(h[:-1], da, ((0, 1), (0, 1)))
        self.gradients["bias"] = da.sum((0, 1))
        return self._input_gradients(x, da)


class LSTM(_Recurrent):
    """Long short-term memory: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000).

    With `a = x W + h' U + b` cut into four: `i, f, o = sigmoid`, `g = tanh`, then `c = f c' + i g` and
    `h = o tanh(c)`. The order in the weights is i, f, g, o; the forget gate's bias starts at 1.

    Args:
        input_dim: the length of each step's input.
        units: the length of the state.
        return_sequences: whether all states are given or the last.
        seed: a seed or a NumPy generator.
    """

    gates = 4

    def __init__(self, input_dim, units, return_sequences=False, seed=None):
        super().__init__(input_dim, units, return_sequences, seed)
        self.parameters["bias"][units : 2 * units] = 1

    def forward(self, x, training=False):
        self._check(x)
        w, u, b = self.parameters.values()
        inputs, n = (x @ w + b).swapaxes(0, 1), self.units
        h, c = np.zeros((2, len(inputs) + 1, len(x), n), inputs.dtype)
        gates = np.empty_like(inputs)
        for t, a in enumerate(inputs):
            a = a + h[t] @ u
            gates[t] = sigmoid(a)
            gates[t, :, 2 * n : 3 * n] = np.tanh(a[:, 2 * n : 3 * n])
            i, f, g, o = np.split(gates[t], 4, -1)
            c[t + 1] = f * c[t] + i * g
            h[t + 1] = o * np.tanh(c[t + 1])
        self._kept = x, h, c, gates
        return self._output(h)

    def backward(self, dy):
        x, h, c, gates = self._recall()
        u, arriving = self.parameters["recurrent_kernel"], self._arriving(dy, h)
        da, dh, dc = np.empty_like(gates), 0.0, 0.0
        for t in reversed(range(len(da))):
            i, f, g, o = np.split(gates[t], 4, -1)
            dh, tanh_c = arriving[t] + dh, np.tanh(c[t + 1])
            dc = dc + dh * o * (1 - tanh_c**2)
            da[t] = np.concatenate(
                [
                    dc * g * i * (1 - i),
                    dc * c[t] * f * (1 - f),
                    dc * i * (1 - g**2),
                    dh * tanh_c * o * (1 - o),
                ],
                -1,
            )
            dh, dc = da[t] @ u.T, dc * f
        self.gradients["recurrent_kernel"] = np.tensordot(h[:-1], da, ((0, 1), (0, 1)))
        self.gradients["bias"] = da.sum((0, 1))
        return self._input_gradients(x, da)


class GRU(_Recurrent):
    """Gated recurrent unit: Cho et al. (2014), arXiv:1406.1078, with the reset gate after the product.

    `z, r = sigmoid(x W + h' U + b)`, `g = tanh(x W_g + b_g + r (h' U_g + c_g))`, `h = z h' + (1 - z) g`. The order in
    the weights is z, r, g; the bias has one row for the input's half and one for the state's, as Keras's with
    `reset_after=True` and cuDNN's.

    Args:
        input_dim: the length of each step's input.
        units: the length of the state.
        return_sequences: whether all states are given or the last.
        seed: a seed or a NumPy generator.
    """

    gates = 3

    def __init__(self, input_dim, units, return_sequences=False, seed=None):
        super().__init__(input_dim, units, return_sequences, seed)
        self.parameters["bias"] = np.zeros((2, 3 * units))

    def forward(self, x, training=False):
        self._check(x)
        w, u, b = self.parameters.values()
        inputs, n = (x @ w + b[0]).swapaxes(0, 1), self.units
        h = np.zeros((len(inputs) + 1, len(x), n), inputs.dtype)
        gates, recurrent = np.empty_like(inputs), np.empty_like(inputs)
        for t, a in enumerate(inputs):
            recurrent[t] = h[t] @ u + b[1]
            zr = sigmoid(a[:, : 2 * n] + recurrent[t, :, : 2 * n])
            z, r = np.split(zr, 2, -1)
            g = np.tanh(a[:, 2 * n :] + r * recurrent[t, :, 2 * n :])
            gates[t] = np.concatenate([zr, g], -1)
            h[t + 1] = z * h[t] + (1 - z) * g
        self._kept = x, h, gates, recurrent
        return self._output(h)

    def backward(self, dy):
        x, h, gates, recurrent = self._recall()
        u, arriving = self.parameters["recurrent_kernel"], self._arriving(dy, h)
        # Two gradients: to the input's half and to the state's, which the reset gate scales.
        da, du, dh = np.empty_like(gates), np.empty_like(gates), 0.0
        for t in reversed(range(len(da))):
            z, r, g = np.split(gates[t], 3, -1)
            dh = arriving[t] + dh
            dg = dh * (1 - z) * (1 - g**2)
            dz = dh * (h[t] - g) * z * (1 - z)
            dr = dg * recurrent[t, :, 2 * self.units :] * r * (1 - r)
            da[t] = np.concatenate([dz, dr, dg], -1)
            du[t] = np.concatenate([dz, dr, dg * r], -1)
            dh = dh * z + du[t] @ u.T
        self.gradients["recurrent_kernel"] = np.tensordot(h[:-1], du, ((0, 1), (0, 1)))
        self.gradients["bias"] = np.stack([da.sum((0, 1)), du.sum((0, 1))])
        return self._input_gradients(x, da)
