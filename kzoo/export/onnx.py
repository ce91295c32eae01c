"""ONNX, opset 18, through tf2onnx: named inputs, outputs and free dimensions.

tf2onnx does not know `Erfc`, which exact GELU is made of; `_erfc` writes it as 1 - Erf.

Its optimizers write every node's attributes anew into the same message, whose memory protobuf keeps until the message
goes, and leave the graphs that they copied to the garbage collector: a model of 0.5 GB needed more than 22 GB.
`_little_memory` gives nodes new messages, and collects.
"""

import contextlib
import gc

import numpy as np
import onnx
import tf2onnx
from tf2onnx import utils
from tf2onnx.graph import Graph
from tf2onnx.tf_loader import fix_freezing_errors_part2

from kzoo.export.tracing import freeze_graph

OPSET = 18  # tf2onnx 1.17 refuses 20 and later


def convert(model, path, shapes=None):
    """Writes the ONNX file `path`."""
    frozen, inputs, outputs = freeze_graph(model, shapes)
    with _little_memory():
        graph, _ = tf2onnx.convert.from_graph_def(
            fix_freezing_errors_part2(frozen),
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename=inputs | outputs,
            opset=OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
        )
    _name_dimensions(graph)
    graph.producer_name = "kzoo"
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))


@contextlib.contextmanager
def _little_memory():
    update = Graph.update_proto

    def lean(graph, *args, **kwargs):
        for node in graph.get_nodes():
            old = node.op
            node._op = onnx.NodeProto(name=old.name, op_type=old.op_type, domain=old.domain)
        update(graph, *args, **kwargs)
        gc.collect()

    gc.collect()  # the functions that led to the frozen graph
    gc.freeze()  # what is left needs no look at each collection
    Graph.update_proto = lean
    try:
        yield
    finally:
        Graph.update_proto = update
        gc.unfreeze()


def _name_dimensions(proto):
    """Calls the free first dimension `batch` and every other free one after its tensor and axis."""
    for value in [*proto.graph.input, *proto.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if not size.HasField("dim_value"):
                size.dim_param = "batch" if axis == 0 else f"{value.name}_{axis}"


def _erfc(context, node, name, _arguments):
    inputs, outputs = node.input[0], list(node.output)
    shapes, dtype = [context.get_shape(outputs[0])], context.get_dtype(outputs[0])
    context.remove_node(node.name)
    one = context.make_const(utils.make_name("one"), np.array(1, utils.map_onnx_to_numpy_type(dtype)))
    erf = context.make_node("Erf", [inputs], name=utils.make_name("erf"), shapes=shapes, dtypes=[dtype])
    terms = [one.output[0], erf.output[0]]
    context.make_node("Sub", terms, name=name, outputs=outputs, shapes=shapes, dtypes=[dtype])
