"""TFLite with built-in operators only, so that the stock interpreter of a phone runs it.

Variables are frozen into constants first: without that, recurrent layers convert but fail when run. A
recurrent loop needs a fixed batch; other models keep a free one.
"""

import contextlib
import tempfile

import tensorflow as tf

from kzoo.export.runners import SIGNATURE
from kzoo.export.savedmodel import save
from kzoo.export.tracing import freeze

LOOPS = {"While", "StatelessWhile", "TensorListReserve"}


def convert(model, path, batch=None):
    """Writes the TFLite file `path`, with the signature `serving_default`.

    Raises:
        NotImplementedError: if the batch is free and the model has a loop.
    """
    with _plain_slices():
        function, specs = freeze(model, batch)
    concrete = function.get_concrete_function()
    if any(spec.shape[0] is None for spec in specs) and _has_loop(concrete.graph.as_graph_def()):
        raise NotImplementedError("a recurrent loop in TFLite needs a fixed batch")
    module = tf.Module()
    module.infer = function
    with tempfile.TemporaryDirectory() as folder:
        # By way of a SavedModel, because from a function alone the file gets no signature.
        save(module, folder, concrete)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        path.write_bytes(converter.convert())


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
