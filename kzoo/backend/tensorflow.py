"""TensorFlow: gradients by tape."""

import contextlib

import keras
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
