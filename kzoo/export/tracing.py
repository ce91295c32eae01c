"""A Keras model on TensorFlow as a graph with named inputs and outputs: where every conversion starts."""

import contextlib

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from kzoo.export.signature import inputs_of, named_outputs


def trace(model, shapes=None, inline=True):
    """Traces a model for inference.

    Args:
        model: a Keras model on the TensorFlow engine.
        shapes: a shape by input, with `None` where it stays free; or a batch size to fix; or `None` to leave free
            what the model leaves free.
        inline: see `_without_xla`.

    Returns:
        The `tf.function`, which takes one tensor per input and returns a dict of outputs, and its list of
        `tf.TensorSpec`, whose names are the inputs' names.
    """
    inputs = inputs_of(model)

    def infer(*tensors):
        values = {tensor.name: value for tensor, value in zip(inputs.tensors, tensors)}
        return named_outputs(model, model(inputs.pack(values), training=False))

    specs = []
    for tensor in inputs.tensors:
        shape = tensor.shape
        if isinstance(shapes, dict):
            shape = shapes[tensor.name]
        elif shapes is not None:
            shape = (shapes, *shape[1:])
        specs.append(tf.TensorSpec(shape, tensor.dtype, tensor.name))
    traced = tf.function(infer, input_signature=specs)
    with _without_xla(inline):
        traced.get_concrete_function()
    return traced, specs


def freeze(model, shapes=None):
    """Like `trace`, with the variables and every other tensor that the model refers to as constants.

    Freezing loses the names of arguments and results: the arguments come in the order of their names, the
    results in that of the sorted keys. The function returned takes and gives them as `trace` does.
    """
    frozen, specs, results = _frozen(model, shapes)
    arguments = [placeholder.name.split(":")[0] for placeholder in frozen.inputs]

    def infer(*tensors):
        values = {spec.name: tensor for spec, tensor in zip(specs, tensors)}
        return dict(zip(results, tf.nest.flatten(frozen(*[values[name] for name in arguments]))))

    return tf.function(infer, input_signature=specs), specs


def freeze_graph(model, shapes=None):
    """The `GraphDef` of `freeze`'s function, and the input or output that each of its outer tensors is."""
    frozen, _, results = _frozen(model, shapes, aggressive_inlining=True)
    names = {tensor.name: tensor.name.split(":")[0] for tensor in frozen.inputs}
    outputs = dict(zip((tensor.name for tensor in frozen.outputs), results))
    return frozen.graph.as_graph_def(add_shapes=True), names, outputs


def _frozen(model, shapes, **options):
    """The frozen concrete function, the specifications of its inputs and the names of its outputs."""
    traced, specs = trace(model, shapes)
    concrete = traced.get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False, **options)
    return frozen, specs, sorted(concrete.structured_outputs)


@contextlib.contextmanager
def _without_xla(inline):
    """While it is open, functions that Keras compiles inside a model lose their `jit_compile`.

    Keras wraps grouped convolutions in `tf.function(jit_compile=True)`: a call that tf2onnx does not know and
    that asks whoever serves the model for XLA. With `inline` the wrapping is dropped. Without, the function
    stays a call of its own: TensorFlow would else fuse the convolution with the bias or activation after it
    into a kernel that cannot do groups.
    """
    original = tf.function

    def function(wrapped=None, **options):
        if wrapped is None:
            return lambda wrapped: function(wrapped)
        return wrapped if inline else original(wrapped, experimental_attributes={"_noinline": True})

    tf.function = function
    try:
        yield
    finally:
        tf.function = original
