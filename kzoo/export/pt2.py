"""PyTorch's exported program, `.pt2`: one graph of ATen operators with the weights, and neither Keras nor Python.

A dimension stays free only if the whole graph keeps it so: what would be true of the example's size alone, as a
recurrent loop that was unrolled, raises an error instead.
"""

import json

import keras
import torch

from kzoo.export.runners import SIGNATURE_FILE, Tensor
from kzoo.export.signature import inputs_of, named_outputs

EXAMPLE = 2  # the batch size while tracing, if it is free: PyTorch takes 1 for a constant


def convert(model, path, shapes=None, sizes=None):
    """Writes the `.pt2` file, with its inputs and outputs by name beside the graph."""
    module, exported = program(model, shapes, sizes)
    torch.export.save(exported, path, extra_files={SIGNATURE_FILE: module.describe(shapes)})


def program(model, shapes=None, sizes=None):
    """Traces a Keras model on PyTorch: its `Inference` and the exported program.

    Args:
        model: a Keras model on PyTorch.
        shapes: a shape by input, with `None` where it stays free.
        sizes: a full shape by input, which the model is known to take.

    Raises:
        torch._dynamo.exc.UserError: if a dimension that should stay free cannot.
    """
    module = Inference(model)
    free = [
        {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(tensor.shape) if size is None}
        for tensor in module.tensors(shapes)
    ]
    with torch.no_grad():
        example = module.example(shapes, sizes)
        module(*example)  # for the names of its outputs, because what is exported is a copy
        exported = torch.export.export(module, example, dynamic_shapes=(tuple(free),), strict=False)
    for node in exported.graph.nodes:  # where each came from in Keras: most of a small file
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
            node.meta.pop(key, None)
    return module, exported


class Inference(torch.nn.Module):
    """A Keras model on PyTorch as a module: from tensors in the order of its inputs to a tuple of outputs.

    It holds the weights under their names and lends them to the model for each call. The model's own are out of reach
    of PyTorch, which would export each of them twice: as a parameter, and as the constant that the graph uses.
    """

    def __init__(self, model):
        super().__init__()
        object.__setattr__(self, "model", model)  # not as a part of this module
        self.inputs, self.places, self.names = inputs_of(model), [], ()
        for variable in model.variables:
            name = _unique(variable.path.replace(".", "_"), self.places)
            self.places.append(name)
            value = variable.value.detach()
            if variable.trainable and value.is_floating_point():
                self.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))
            else:
                self.register_buffer(name, value)
        self.eval()

    def forward(self, *tensors):
        values = {tensor.name: value for tensor, value in zip(self.inputs.tensors, tensors)}
        lent = [(variable, getattr(self, name)) for variable, name in zip(self.model.variables, self.places)]
        with keras.StatelessScope(state_mapping=lent):
            outputs = self.model(self.inputs.pack(values), training=False)
        outputs = named_outputs(self.model, outputs)
        self.names = tuple(outputs)
        return tuple(outputs.values())

    def tensors(self, shapes=None):
        """The model's inputs with the shapes to convert for."""
        shapes = shapes or {}
        return [
            Tensor(tensor.name, shapes.get(tensor.name, tensor.shape), tensor.dtype)
            for tensor in self.inputs.tensors
        ]

    def example(self, shapes=None, sizes=None):
        """A tuple of tensors of these shapes: ones, which are tokens, bytes and truths as well as numbers."""
        tensors = []
        for tensor in self.tensors(shapes):
            known = (sizes or {}).get(tensor.name, [EXAMPLE + 2 * axis for axis in range(len(tensor.shape))])
            free = [EXAMPLE, *known[1:]]
            shape = [free[axis] if size is None else size for axis, size in enumerate(tensor.shape)]
            tensors.append(torch.ones(shape, dtype=getattr(torch, tensor.dtype)))
        return tuple(tensors)

    def describe(self, shapes=None):
        """Its inputs and the names of its outputs, as JSON."""
        inputs = [[tensor.name, list(tensor.shape), tensor.dtype] for tensor in self.tensors(shapes)]
        return json.dumps({"inputs": inputs, "outputs": list(self.names)})


def _unique(name, taken):
    """The name, with a number if it is taken."""
    found = name
    for number in range(1, len(taken) + 1):
        if found not in taken:
            break
        found = f"{name}_{number}"
    return found
