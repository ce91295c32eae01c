"""A model's forward pass and gradients, on JAX as one program each: op by op it would compile every operation."""

import keras
import numpy as np
from keras import ops

import kzoo


def forward_of(model):
    """A function of inputs that gives the outputs of inference as a list of NumPy arrays."""

    def outputs(x):
        return keras.tree.flatten(model(x, training=False))

    if keras.config.backend() == "jax":
        import jax

        values = [variable.value for variable in model.variables]

        @jax.jit
        def program(values, x):
            with keras.StatelessScope(zip(model.variables, values)):
                return outputs(x)

        return lambda x: [np.asarray(y) for y in program(values, x)]
    return lambda x: [ops.convert_to_numpy(y) for y in outputs(x)]


def step_of(model, loss):
    """A function that gives `loss()` and its gradients to the trainable variables, and changes the model's state."""
    step = kzoo.value_and_grad(loss, model.trainable_variables)
    if keras.config.backend() != "jax":
        return step
    import jax

    variables = model.variables

    @jax.jit
    def program(values):
        with keras.StatelessScope(zip(variables, values)) as scope:
            value, gradients = step()
            return value, gradients, [scope.get_current_value(variable) for variable in variables]

    def run():
        value, gradients, values = program([variable.value for variable in variables])
        for variable, new in zip(variables, values):
            variable.assign(new)
        return value, gradients

    return run


def descend(variables, gradients, learning_rate):
    """One step of plain gradient descent."""
    for variable, gradient in zip(variables, gradients):
        variable.assign(ops.convert_to_numpy(variable) - learning_rate * ops.convert_to_numpy(gradient))
