"""Core ML programs, from TensorFlow or from PyTorch: whichever engine this process runs.

coremltools reads TensorFlow's graphs, but no recurrent loops; in PyTorch's exported programs such loops are unrolled
for one length. It converts anywhere, and runs what it made on macOS only.
"""

import keras

from kzoo.engine import require

LONGEST = 1024  # the largest size of a dimension that stays free: Core ML wants a bound
# Second names of PyTorch's operators, which coremltools knows by the first only.
ALIASES = {
    **{"subtract": "sub", "multiply": "mul", "divide": "div", "absolute": "abs"},
    **{"not_equal": "ne", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le"},
    **{"__and__": "logical_and", "__or__": "logical_or"},  # of masks, which are all that Keras combines so
}


def convert(model, path, shapes=None, sizes=None):
    """Writes the `.mlpackage` directory, in float32, with named inputs and outputs."""
    coremltools = require("coremltools", "coreml")
    make = {"tensorflow": _from_tensorflow, "torch": _from_torch}[keras.config.backend()]
    make(coremltools, model, shapes, sizes).save(str(path))


def _from_tensorflow(coremltools, model, shapes, _sizes):
    from kzoo.export.tracing import freeze

    _register_erfc()
    function, specs = freeze(model, shapes)
    concrete = function.get_concrete_function()
    inputs = [_input(coremltools, spec.name, spec.shape.as_list()) for spec in specs]
    made = coremltools.convert([concrete], source="tensorflow", inputs=inputs, **_settings(coremltools))
    given = [tensor.name.split(":")[0] for tensor in concrete.outputs]
    return _with_outputs(coremltools, made, dict(zip(given, sorted(concrete.structured_outputs))))


def _from_torch(coremltools, model, shapes, sizes):
    from kzoo.export.pt2 import program

    module, exported = program(model, shapes, sizes)
    inputs = [_input(coremltools, tensor.name, tensor.shape) for tensor in module.tensors(shapes)]
    outputs = [coremltools.TensorType(name=name) for name in module.names]
    exported = exported.run_decompositions(_aliases())
    return coremltools.convert(exported, inputs=inputs, outputs=outputs, **_settings(coremltools))


def _input(coremltools, name, shape):
    free = coremltools.RangeDim(lower_bound=1, upper_bound=LONGEST, default=16)
    return coremltools.TensorType(name=name, shape=[free if size is None else size for size in shape])


def _with_outputs(coremltools, made, names):
    """The same model with other names of its outputs."""
    spec, rename = made.get_spec(), coremltools.utils.rename_feature
    # By way of names that nothing has, because one output's name may be wanted for another.
    for index, name in enumerate(names):
        rename(spec, name, f"kzoo_{index}")
    for index, name in enumerate(names.values()):
        rename(spec, f"kzoo_{index}", name)
    return coremltools.models.MLModel(spec, weights_dir=made.weights_dir, skip_model_load=True)


def _settings(coremltools):
    return {
        "convert_to": "mlprogram",
        "compute_precision": coremltools.precision.FLOAT32,  # else float16
        "minimum_deployment_target": coremltools.target.iOS16,
        "skip_model_load": True,
    }


def _register_erfc():
    """Teaches coremltools `Erfc`, which exact GELU is made of."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.tensorflow.tf_op_registry import register_tf_op

    def Erfc(context, node):
        x = context[node.inputs[0]]
        context.add(node.name, Builder.sub(x=1.0, y=Builder.erf(x=x), name=node.name))

    register_tf_op(Erfc, override=True)


def _aliases():
    """A table of decompositions: each overload of an alias to that of the operator it stands for."""
    import torch

    table = {}
    for alias, name in ALIASES.items():
        packets = getattr(torch.ops.aten, alias, None), getattr(torch.ops.aten, name)
        for overload in packets[0].overloads() if packets[0] else ():
            target = overload if overload in packets[1].overloads() else "default"
            if target in packets[1].overloads():
                table[getattr(packets[0], overload)] = getattr(packets[1], target)
    return table
