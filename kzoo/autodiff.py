"""Differentiation written once: `value_and_grad` and `grad` on TensorFlow, PyTorch and JAX.

They are transforms, as in JAX, MLX and `torch.func`: they take a function and return one.
"""

import contextlib
import threading

import keras
from keras import ops

from kzoo import backend

_local = threading.local()


def value_and_grad(fn, variables=None, has_aux=False):
    """A function of `fn`'s arguments that returns `fn`'s value and its gradients.

    ```python
    loss, gradients = kzoo.value_and_grad(loss_fn, model.trainable_variables)(x, y)
    value, gradient = kzoo.value_and_grad(lambda x: ops.sum(x**2))(x)
    ```

    Calls may be nested to any order, inside and outside `fit` and compiled steps; PyTorch alone cannot compile
    (`jit_compile=True`) a gradient of a gradient. What `fn` changes in Keras variables (batch-norm statistics, seeds,
    metrics) stays changed. An assignment inside `fn` is a constant to the gradient.

    Args:
        fn: returns a scalar, or `(scalar, aux)` with `has_aux`.
        variables: Keras variables, in any nested structure. The gradients have this structure. Without it they are
            with respect to `fn`'s first argument, a floating-point tensor or any nested structure of them.
        has_aux: whether `fn` returns something beside the scalar that is handed on as it is.

    Returns:
        A function returning `value, gradients`, or `(value, aux), gradients` with `has_aux`. Whatever `fn` does not
        depend on has a gradient of zeros.

    Raises:
        ValueError: by the returned function, if `fn`'s value is not a scalar or there is nothing to differentiate.
    """
    if not callable(fn):
        raise TypeError(f"value_and_grad takes a function. Received: fn={fn!r}")
    if variables is not None:
        flat_variables = _check_variables(variables)

    def with_variables(*args, **kwargs):
        def call():
            return _split(fn(*args, **kwargs), has_aux)

        (value, aux), gradients = _run(backend.gradients_of_variables, call, flat_variables)
        gradients = keras.tree.pack_sequence_as(variables, gradients)
        return ((value, aux) if has_aux else value), gradients

    def with_inputs(*args, **kwargs):
        if not args:
            raise ValueError(
                "without variables, the gradient is with respect to the first positional argument: give one"
            )
        inputs = keras.tree.map_structure(_floating, args[0])

        def call(tensors):
            return _split(fn(keras.tree.pack_sequence_as(inputs, tensors), *args[1:], **kwargs), has_aux)

        (value, aux), gradients = _run(backend.gradients_of_inputs, call, keras.tree.flatten(inputs))
        gradients = keras.tree.pack_sequence_as(inputs, gradients)
        return ((value, aux) if has_aux else value), gradients

    return with_inputs if variables is None else with_variables


def grad(fn, variables=None):
    """As `value_and_grad`, but only the gradients: `kzoo.grad(loss_fn, variables)(x, y)`."""
    value_and_gradients = value_and_grad(fn, variables)
    return lambda *args, **kwargs: value_and_gradients(*args, **kwargs)[1]


def differentiating():
    """How many `value_and_grad` functions are running around this call."""
    return getattr(_local, "depth", 0)


def rehearsing():
    """Whether a learner is only finding out what its update does (shapes, logs, optimizers), see `Learner`."""
    return getattr(_local, "rehearsing", False)


@contextlib.contextmanager
def rehearsal():
    """Inside, gradients are zeros of the right shapes and nothing is differentiated."""
    _local.rehearsing = True
    try:
        yield
    finally:
        _local.rehearsing = False


@contextlib.contextmanager
def loss_scale(scale):
    """Inside, outermost losses are multiplied by `scale()` before and gradients divided by it after differentiation.

    So that small float16 gradients do not vanish; what the caller sees are the true gradients.
    """
    _local.scale = scale
    try:
        yield
    finally:
        _local.scale = None


def _run(differentiate, call, sources):
    """Runs one differentiation: counts the depth, scales outermost losses, cuts the graph at the outermost level."""
    depth = differentiating()
    scale = getattr(_local, "scale", None) if depth == 0 else None

    def scaled(*args):
        value, aux = call(*args)
        if scale is None:
            return value, (value, aux)
        return ops.cast(value, "float32") * scale(), (value, aux)

    _local.depth = depth + 1
    try:
        if rehearsing():
            result = call(*([sources] if differentiate is backend.gradients_of_inputs else []))
            values = (source.value if isinstance(source, keras.Variable) else source for source in sources)
            return result, [ops.zeros_like(value) for value in values]
        nested = depth > 0 or backend.differentiated()
        (_, result), gradients = differentiate(scaled, sources, nested)
    finally:
        _local.depth = depth
    if scale is not None:
        gradients = [ops.cast(ops.cast(g, "float32") / scale(), g.dtype) for g in gradients]
    return (result, gradients) if nested else backend.detach((result, gradients))


def _split(result, has_aux):
    if has_aux:
        if not isinstance(result, tuple) or len(result) != 2:
            raise ValueError(
                f"with has_aux=True the function must return (scalar, aux). Received: {type(result)}"
            )
        value, aux = result
    else:
        value, aux = result, None
    value = ops.convert_to_tensor(value)
    if len(value.shape) != 0:
        raise ValueError(
            f"only a scalar can be differentiated: reduce it by ops.mean or ops.sum. Received: {value.shape}"
        )
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype)):
        value = ops.cast(value, keras.config.floatx())
    return value, aux


def _check_variables(variables):
    flat = keras.tree.flatten(variables)
    for variable in flat:
        if not isinstance(variable, keras.Variable):
            raise TypeError(f"variables must be Keras variables. Received: {type(variable)} in {variables!r}")
    if not flat and not rehearsing():
        raise ValueError(
            "there are no variables to differentiate: is everything frozen? Received: an empty structure"
        )
    return flat


def _floating(x):
    x = x.value if isinstance(x, keras.Variable) else ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(f"gradients need floating-point arguments. Received: dtype={dtype}")
    return x
