"""TensorFlow: gradients by tape."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from kzoo.backend.state import peak_resident_memory, values_of


def detach(structure):
    """TensorFlow's tensors carry no graph: nothing to cut."""
    return structure


def no_grad():
    return contextlib.nullcontext()


def differentiated():
    """Whether an outer derivative must be kept alive: the outer tape sees to that by itself."""
    return False


def gradients_of_variables(call, variables, nested):
    """`call() -> (scalar, aux)`; returns `(scalar, aux), gradients` with zeros for unconnected variables."""
    return _differentiate(lambda _: call(), values_of(variables))


def gradients_of_inputs(call, tensors, nested):
    """`call(tensors) -> (scalar, aux)`; as above, with respect to the tensors."""
    return _differentiate(call, [tf.identity(tensor) for tensor in tensors])


def _differentiate(call, sources):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        value, aux = call(sources)
    gradients = tape.gradient(value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    # Embedding look-ups give rows only; the other engines give the whole table.
    return (value, aux), [tf.convert_to_tensor(gradient) for gradient in gradients]


def train_step(learner, data):
    return learner.run_update(data)


def test_step(learner, data):
    return (
        learner.run_evaluate_step(data) if learner.has_evaluate_step else keras.Model.test_step(learner, data)
    )


def _maybe_symbolic_build(self, iterator=None, data_batch=None):
    # Keras leaves building to the first trace here; a learner must know its logs and optimizers before it.
    with self.distribute_strategy.scope():
        self._symbolic_build(iterator=iterator, data_batch=data_batch)


overrides = {"_maybe_symbolic_build": _maybe_symbolic_build}


def set_seed(seed):
    tf.random.set_seed(seed)


def get_random_state():
    """Keras draws through its seed generators here: the engine has no further state to keep."""
    return None


def set_random_state(state):
    """Nothing to restore, see `get_random_state`."""


def peak_memory():
    """The most memory used so far, in bytes: the GPU's where there is one, else the process's."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return peak_resident_memory()


def fused_attention(query, key, value, mask, bias, causal, offset, scale):
    """TensorFlow has no fused attention: `None`, and the caller writes it out."""
    return None


def written_at(buffer, values, index):
    """`buffer`, `(b, s, …)`, with `values`, `(b, t, …)`, at the places from `index` on.

    By selection: `keras.ops.slice_update` is an operator of XLA, which ONNX has no name for.
    """
    place = tf.range(tf.shape(buffer)[1]) - tf.cast(index, tf.int32)
    count = tf.shape(values)[1]
    if values.shape[1] != 1:
        values = tf.gather(values, tf.clip_by_value(place, 0, count - 1), axis=1)
    written = tf.logical_and(place >= 0, place < count)
    return tf.where(tf.reshape(written, [-1] + [1] * (len(buffer.shape) - 2)), values, buffer)


def lean_call(layer):
    """The layer: once traced, nothing of what Keras asks around its `call` is left."""
    return layer


class Decoder:
    """Runs `step(state, first, count) -> state`, compiled, once for the prompt and then in a loop.

    Args:
        step: a function of a dictionary of tensors, in which `ended`, if there, says which rows are done; of the place
            of the first symbol to read; and of how many to read. It reads the variables and does not change them.
        variables: all that it reads.
    """

    recompiles = True  # for each shape: better few of them

    def __init__(self, step, variables):
        def start(state, count):
            return step(state, 0, count)

        def advance(state, index, until):
            def going(index, state):
                return (index < until) & ~tf.reduce_all(state.get("ended", False))

            def body(index, state):
                return index + 1, step(state, index, 1)

            return tf.while_loop(going, body, (index, state))

        self._start, self._advance = (tf.function(f, jit_compile=True) for f in (start, advance))

    def start(self, state, count):
        """Reads the first `count` symbols."""
        return self._start(keras.tree.map_structure(tf.convert_to_tensor, state), count)

    def advance(self, state, index, until):
        """Reads one symbol at a time from place `index` on, up to `until` or until all rows have ended.

        Returns:
            The place of the next symbol, and the state. The state that was handed in is used up.
        """
        index, state = self._advance(state, tf.constant(index), tf.constant(until))
        return int(index), state


class Program:
    """A function of arrays that reads variables and may change them, as one compiled program.

    Args:
        function: takes tensors, or dictionaries of them, and gives a dictionary of tensors.
        variables: all that it reads.
        changing: whether it changes them.
    """

    def __init__(self, function, variables, changing=False):
        def over(data, rows):
            def part(row):
                return function(keras.tree.map_structure(lambda x: tf.gather(x, row), data))

            def body(i, found):
                results = part(rows[i])
                return i + 1, {name: found[name].write(i, value) for name, value in results.items()}

            count = rows.shape[0]
            first = part(rows[0])  # by itself: it tells what the results look like
            found = {
                name: tf.TensorArray(value.dtype, count, element_shape=value.shape).write(0, value)
                for name, value in first.items()
            }
            _, found = tf.while_loop(lambda i, _: i < count, body, (1, found), parallel_iterations=1)
            return {name: array.stack() for name, array in found.items()}

        self._function = function
        # XLA makes one kernel of a small network: called flat, a quarter of the time. TensorFlow convolves faster.
        self._xla = all(len(variable.shape) <= 2 for variable in variables)
        self._over = tf.function(over, jit_compile=True, autograph=False)
        self._made = {}  # looking up a function by its arguments takes TensorFlow longer than calling it

    def __call__(self, *arrays):
        """What the function gives."""
        leaves = keras.tree.flatten(arrays)
        names = [tuple(part) if isinstance(part, dict) else None for part in arrays]
        key = (*names, *((x.shape, x.dtype) for x in leaves))
        # `constant` asks less about an array than `convert_to_tensor`.
        tensors = [tf.constant(x) if isinstance(x, np.ndarray) else tf.convert_to_tensor(x) for x in leaves]
        if key not in self._made:
            # Of tensors alone: binding dictionaries to arguments costs as much as a small network.
            def run(*tensors):
                return self._function(*keras.tree.pack_sequence_as(arrays, tensors))

            made = tf.function(run, autograph=False, jit_compile=self._xla or None)
            self._made[key] = made.get_concrete_function(*tensors)
        made = self._made[key]
        # The public call compares each new tensor with its signature, which the key has just done, for 30 µs each.
        return made._call_flat(tensors, made.captured_inputs)

    def over(self, data, rows):
        """The function of part after part of `data`, each seeing what the one before changed, in one call.

        Args:
            data: a dictionary of arrays of one length.
            rows: int32 `(n, m)`: the m places in the data that each of n parts has.

        Returns:
            What it gives for each, stacked: `(n, …)`.
        """
        return self._over(*keras.tree.map_structure(tf.convert_to_tensor, (data, rows)))
