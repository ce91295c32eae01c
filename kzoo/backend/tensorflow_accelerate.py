"""Fast ways for Keras layers on TensorFlow: recurrent layers take their input product once per sequence.

Keras multiplies the input of every step by the kernel inside the loop. Here one product serves all steps, and
the loop, which is Keras's own, is left with the recurrent product. Masks, directions and states are its affair.
"""

import functools
import types

import tensorflow as tf
from keras import layers, ops


def lstm_step(cell):
    def step(z, states, **_):
        h, c = states
        z = ops.add(z, ops.matmul(h, cell.recurrent_kernel))
        i, f, g, o = ops.split(z, 4, axis=-1)
        c = cell.recurrent_activation(f) * c + cell.recurrent_activation(i) * cell.activation(g)
        h = cell.recurrent_activation(o) * cell.activation(c)
        return h, [h, c]

    return step


def gru_step(cell):
    def step(x, states, **_):
        h, units, kernel = states[0], cell.units, ops.convert_to_tensor(cell.recurrent_kernel)
        x_gates, x_new = x[..., : 2 * units], x[..., 2 * units :]
        if cell.reset_after:
            recurrent = ops.matmul(h, kernel)
            if cell.use_bias:
                recurrent = ops.add(recurrent, ops.convert_to_tensor(cell.bias)[1])
            h_gates, h_new = recurrent[..., : 2 * units], recurrent[..., 2 * units :]
        else:
            h_gates = ops.matmul(h, kernel[:, : 2 * units])
        update, reset = ops.split(cell.recurrent_activation(ops.add(x_gates, h_gates)), 2, axis=-1)
        if cell.reset_after:
            h_new = reset * h_new
        else:
            h_new = ops.matmul(reset * h, kernel[:, 2 * units :])
        h = update * h + (1 - update) * cell.activation(x_new + h_new)
        return h, [h]

    return step


def simple_step(cell):
    def step(z, states, **_):
        h = cell.activation(ops.add(z, ops.matmul(states[0], cell.recurrent_kernel)))
        return h, [h]

    return step


def project(layer, make_step):
    """Replaces the loop of a layer by a product over the sequence and a loop with a smaller step."""
    cell = layer.cell
    if "inner_loop" in vars(layer):
        return "input product taken once for the whole sequence"
    original = layer.inner_loop

    @functools.wraps(original)
    def inner_loop(sequences, initial_state, mask, training=False):
        if training and cell.dropout:
            sequences = sequences * ops.expand_dims(cell.get_dropout_mask(sequences[:, 0, :]), 1)
        # Keras's loop wants time first: turned before the product, its own turning of the wide result cancels.
        projected = ops.matmul(ops.transpose(sequences, (1, 0, 2)), cell.kernel)
        if cell.bias is not None:
            bias = ops.convert_to_tensor(cell.bias)
            projected = ops.add(projected, bias[0] if len(bias.shape) == 2 else bias)
        projected = ops.transpose(projected, (1, 0, 2))
        names = ("return_sequences", "go_backwards", "stateful", "unroll", "zero_output_for_mask")
        loop = types.SimpleNamespace(cell=make_step(cell), **{name: getattr(layer, name) for name in names})
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        return layers.RNN.inner_loop(loop, projected, initial_state, mask, training=training)

    object.__setattr__(layer, "inner_loop", inner_loop)
    return "input product taken once for the whole sequence"


def rule(make_step):
    def apply(layer):
        on_gpu = bool(tf.config.list_logical_devices("GPU"))
        if getattr(layer, "use_cudnn", None) is True or ("use_cudnn" in vars(layer) and on_gpu):
            raise NotImplementedError("Keras calls cuDNN for it")
        return project(layer, make_step)

    return apply


RULES = {layers.LSTM: rule(lstm_step), layers.GRU: rule(gru_step), layers.SimpleRNN: rule(simple_step)}


def finish(model):
    """Nothing remains to be done for the model as a whole."""
