"""Fast recurrent layers on PyTorch, for `torch_accelerate.py`: the loop over the sequence runs in C++."""

import keras
import torch

from kzoo.backend.state import replace
from kzoo.backend.torch_gru import GRU, torch_order
from kzoo.backend.torch_layout import kernels_serve, lay_out, tensor


def named(activation):
    return getattr(activation, "__name__", str(activation))


def recurrent(layer, kernel, activation, gated=True, swap=False, by_hand=None):
    """The whole sequence in one call of `kernel` (`torch.lstm`, `torch.gru` …), which loops in C++.

    `by_hand` is used instead where gradients are wanted on a processor, as it is faster there.
    """
    cell = layer.cell
    if cell.activation is not activation:
        raise NotImplementedError(f"its activation is {named(cell.activation)}")
    if gated and cell.recurrent_activation is not keras.activations.sigmoid:
        raise NotImplementedError(f"its recurrent activation is {named(cell.recurrent_activation)}")
    if not swap:
        lay_out(cell.kernel, (1, 0))
        lay_out(cell.recurrent_kernel, (1, 0))

    def parameters():
        order = torch_order if swap else lambda value: value
        weights = [tensor(cell.kernel), tensor(cell.recurrent_kernel)]
        weights = [order(weight).t().contiguous() for weight in weights]
        if cell.bias is None:
            return weights
        bias = tensor(cell.bias)
        biases = bias if bias.ndim == 2 else (bias, torch.zeros_like(bias))
        return weights + [order(bias) for bias in biases]

    def outputs_of(sequences, states):
        """All outputs, and the last states."""
        if by_hand is not None and torch.is_grad_enabled() and sequences.device.type == "cpu":
            weights = [tensor(value) for value in (cell.kernel, cell.recurrent_kernel, cell.bias)]
            outputs = by_hand.apply(sequences, *states, *weights)
            return outputs, outputs[:, -1]
        start = [state.unsqueeze(0) for state in states]
        start, training = tuple(start) if len(start) == 2 else start[0], torch.is_grad_enabled()
        options = (cell.bias is not None, 1, 0.0, training, False, True)
        outputs, *ends = kernel(sequences, start, parameters(), *options)
        return outputs, *(end.squeeze(0) for end in ends)

    def inner_loop(original, sequences, initial_state, mask, training=False):
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        states = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
        same = tensor(cell.kernel).dtype == sequences.dtype
        served = kernels_serve(sequences) and same and sequences.shape[1] > 0
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
        states = [state.clone() if layer.stateful else state for state in states]
        outputs, *ends = outputs_of(sequences, states)
        if mask is not None:
            outputs, ends[0] = restore(outputs, states[0])
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
    by_hand = GRU if layer.cell.use_bias else None
    return recurrent(layer, torch.gru, keras.activations.tanh, swap=True, by_hand=by_hand)


def simple_rnn(layer):
    kernels = {keras.activations.tanh: torch.rnn_tanh, keras.activations.relu: torch.rnn_relu}
    activation = layer.cell.activation
    if activation not in kernels:
        raise NotImplementedError(f"its activation is {named(activation)}")
    return recurrent(layer, kernels[activation], activation, gated=False)
