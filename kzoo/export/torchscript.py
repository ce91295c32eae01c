"""TorchScript by tracing, for runtimes that read no `.pt2`, such as older C++ programs.

A trace records the operators of one run. It holds for other batch sizes, but a recurrent loop is recorded with as
many steps as the example had, and would cut a longer sequence off without a word. Models with such loops are
therefore traced for one length, and the file itself refuses another.
"""

import keras
import torch

from kzoo.export.pt2 import Inference
from kzoo.export.runners import SIGNATURE_FILE


def convert(model, path, shapes=None, sizes=None):
    """Writes the TorchScript file, with its inputs and outputs by name beside the code.

    Raises:
        NotImplementedError: if the model has a recurrent loop and a length is free.
    """
    module = Checked(model, shapes)
    if any(None in tensor.shape[1:] for tensor in module.tensors(shapes)) and _recurrent(model):
        raise NotImplementedError("a recurrent loop in TorchScript holds for one length only")
    with torch.no_grad():
        traced = torch.jit.trace(module, module.example(shapes, sizes), check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={SIGNATURE_FILE: module.describe(shapes)})


class Checked(Inference):
    """An `Inference` that refuses other sizes than the fixed ones, also where nobody checks its inputs."""

    def __init__(self, model, shapes):
        super().__init__(model)
        self.shapes = [tensor.shape for tensor in self.tensors(shapes)]

    def forward(self, *tensors):
        checked = []
        for tensor, shape in zip(tensors, self.shapes):
            for axis, size in enumerate(shape):
                if size is not None:
                    tensor = _of_size(tensor, axis, size)
            checked.append(tensor)
        return super().forward(*checked)


@torch.jit.script
def _of_size(tensor: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    # As a script it stays a condition in the trace, which would else keep only the tensor.
    if tensor.size(axis) != size:
        raise ValueError("the input must have size {} at axis {}".format(size, axis))  # noqa: UP032
    return tensor


def _recurrent(model):
    return any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers())
