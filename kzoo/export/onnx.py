"""ONNX, opset 18, through tf2onnx: named inputs, outputs and free dimensions.

tf2onnx does not know `Erfc`, which exact GELU is made of; `_erfc` writes it as 1 - Erf.
"""

import numpy as np
import onnx
import tf2onnx
from tf2onnx import utils

from kzoo.export.tracing import freeze

OPSET = 18  # tf2onnx 1.17 refuses 20 and later


def convert(model, path, shapes=None):
    """Writes the ONNX file `path`."""
    function, specs = freeze(model, shapes)
    graph, _ = tf2onnx.convert.from_function(
        function, input_signature=specs, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, [])}
    )
    _name_dimensions(graph)
    graph.producer_name = "kzoo"
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))


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
