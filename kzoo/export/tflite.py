"""TFLite in four precisions, with built-in operators only, so that the stock interpreter of a phone runs it.

Variables are frozen into constants first: without that, recurrent layers convert but fail when run. A
recurrent loop needs a fixed batch; other models keep a free one. Inputs and outputs stay as the model has them
in every precision: a quantised file quantises inside.
"""

import contextlib
import tempfile

import tensorflow as tf

from kzoo.export.runners import SIGNATURE
from kzoo.export.savedmodel import save
from kzoo.export.tracing import freeze

LOOPS = {"While", "StatelessWhile", "TensorListReserve"}


def convert(model, path, shapes=None, precision="float32", examples=None, flex=False):
    """Writes the TFLite file `path`, with the signature `serving_default`.

    Args:
        model: a Keras model on the TensorFlow engine.
        path: the file.
        shapes: a shape by input, with `None` where it stays free; see `tracing.trace`.
        precision: `float32`; `float16`, which stores weights in half the space; `dynamic_int8`, which stores
            them in a quarter and computes matrix products in integers; `int8`, which does all in integers.
        examples: for `int8`: arrays by input, from which the range of every tensor is taken.
        flex: whether operators that TFLite lacks may be TensorFlow's own.

    Raises:
        NotImplementedError: if the batch is free and the model has a loop.
    """
    with _plain_slices():
        function, specs = freeze(model, shapes)
    concrete = function.get_concrete_function()
    if any(spec.shape[:1] == [None] for spec in specs) and _has_loop(concrete.graph.as_graph_def()):
        raise NotImplementedError("a recurrent loop in TFLite needs a fixed batch")
    module = tf.Module()
    module.infer = function
    with tempfile.TemporaryDirectory() as folder:
        # By way of a SavedModel, because from a function alone the file gets no signature.
        save(module, folder, concrete)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        known = tf.lite.OpsSet
        converter.target_spec.supported_ops = [known.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: _batches(examples, specs)
            # Without the second, a model with one operator that has no integer kernel could not be had at all.
            converter.target_spec.supported_ops = [known.TFLITE_BUILTINS_INT8, known.TFLITE_BUILTINS]
        if flex:
            converter.target_spec.supported_ops += [known.SELECT_TF_OPS]
        path.write_bytes(converter.convert())


def _batches(examples, specs):
    """Examples for the calibrator, as many at a time as the graph takes, in the caller's order."""
    size = next((spec.shape[0] for spec in specs if spec.shape.rank and spec.shape[0]), 1)
    count = min(len(array) for array in examples.values())
    for start in range(0, count - size + 1, size):
        yield SIGNATURE, {spec.name: examples[spec.name][start : start + size] for spec in specs}


def _has_loop(graph):
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return any(node.op in LOOPS for node in nodes)


@contextlib.contextmanager
def _plain_slices():
    """While it is open, `x[:, None]` is an `expand_dims`.

    As a strided slice with a new axis, which is what a causal mask is made of, it has no built-in operator
    where a length is free.
    """
    original = tf.Tensor.__getitem__

    def getitem(tensor, key):
        keys = key if isinstance(key, tuple) else (key,)
        whole = [item for item in keys if item is None or item is Ellipsis or item == slice(None)]
        if len(whole) < len(keys) or None not in keys or tensor.shape.rank is None:
            return original(tensor, key)
        if Ellipsis in keys:
            at, taken = keys.index(Ellipsis), sum(item is not None for item in keys) - 1
            keys = (*keys[:at], *[slice(None)] * (tensor.shape.rank - taken), *keys[at + 1 :])
        for axis, item in enumerate(keys):
            if item is None:
                tensor = tf.expand_dims(tensor, axis)
        return tensor

    tf.Tensor.__getitem__ = getitem
    try:
        yield
    finally:
        tf.Tensor.__getitem__ = original
