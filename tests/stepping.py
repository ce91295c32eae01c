"""Passes, gradients and steps, on JAX as one program each: op by op it would compile every operation."""

import keras
from keras import ops

import kzoo


def compiled(function, variables=()):
    """`function` of tensors, which may read and change the variables; on JAX as one program."""
    if keras.config.backend() != "jax":
        return function
    import jax

    variables = list(variables)

    @jax.jit
    def program(values, *tensors):
        with keras.StatelessScope(zip(variables, values)) as scope:
            result = function(*tensors)
            return result, [scope.get_current_value(variable) for variable in variables]

    def run(*tensors):
        result, values = program([variable.value for variable in variables], *tensors)
        for variable, value in zip(variables, values):
            variable.assign(value)
        return result

    return run


def arrays_of(structure):
    """The tensors of a structure as a list of NumPy arrays."""
    return [ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(structure)]


def forward_of(model):
    """A function of inputs that gives the outputs of inference as a list of NumPy arrays."""
    outputs = compiled(lambda x: model(x, training=False), model.variables)
    return lambda x: arrays_of(outputs(x))


def step_of(model, loss):
    """A function that gives `loss()` and its gradients to the trainable variables, and changes the model's state."""
    return compiled(kzoo.value_and_grad(loss, model.trainable_variables), model.variables)


def descend(variables, gradients, learning_rate):
    """One step of plain gradient descent."""
    for variable, gradient in zip(variables, gradients):
        variable.assign(ops.convert_to_numpy(variable) - learning_rate * ops.convert_to_numpy(gradient))
