"""Runs what PyTorch, OpenVINO and Core ML read; see `runners.py`."""

import json
import sys

import numpy as np

from kzoo import engine
from kzoo.export.runners import OPENVINO_FILE, SIGNATURE_FILE, Runner, tensor_of


def load_openvino():
    """Imports OpenVINO, but not the package by which it tells its maker of every import, in a forked process."""
    sys.modules.setdefault("openvino_telemetry", None)
    return engine.require("openvino", "openvino")


class TorchRunner(Runner):
    """An exported program (`.pt2`) or TorchScript file on PyTorch's CPU, without Keras."""

    format = "pt2"

    def __init__(self, path):
        self._torch = torch = engine.require("torch", "torch")
        self.format = "pt2" if path.suffix == ".pt2" else "torchscript"
        extra = {SIGNATURE_FILE: ""}
        if self.format == "pt2":
            self._module = torch.export.load(path, extra_files=extra).module()
        else:
            self._module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
        if not extra[SIGNATURE_FILE]:
            raise ValueError(
                f"the archive lacks {SIGNATURE_FILE}, so kzoo did not write it. Received: {path}"
            )
        signature = json.loads(extra[SIGNATURE_FILE])
        self.inputs = tuple(tensor_of(name, shape, dtype) for name, shape, dtype in signature["inputs"])
        self._names = signature["outputs"]

    def _run(self, arrays):
        with self._torch.inference_mode():
            tensors = [self._torch.from_numpy(arrays[tensor.name]) for tensor in self.inputs]
            results = self._module(*tensors)
        return {name: result.numpy() for name, result in zip(self._names, results)}


class OpenVINORunner(Runner):
    """An OpenVINO model on the CPU, computing in float32."""

    format = "openvino"

    def __init__(self, path):
        openvino = load_openvino()
        core = openvino.Core()
        model = core.read_model(str(path / OPENVINO_FILE if path.is_dir() else path))
        # By default the plugin computes in bfloat16 wherever the processor can.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._model = core.compile_model(model, "CPU", settings)
        self.inputs = tuple(map(self._describe, model.inputs))
        self.outputs = tuple(map(self._describe, model.outputs))

    @staticmethod
    def _describe(port):
        shape = [size.get_length() if size.is_static else None for size in port.partial_shape]
        return tensor_of(port.get_any_name(), shape, np.dtype(port.element_type.to_dtype()).name)

    def _run(self, arrays):
        results = self._model(arrays)
        return {tensor.name: np.array(results[tensor.name]) for tensor in self.outputs}


class CoreMLRunner(Runner):
    """A Core ML package: described anywhere, run on macOS only."""

    format = "coreml"

    def __init__(self, path):
        coremltools = engine.require("coremltools", "coreml")
        here = sys.platform == "darwin"
        units = coremltools.ComputeUnit.CPU_ONLY  # the others compute in float16
        self._model = coremltools.models.MLModel(str(path), compute_units=units, skip_model_load=not here)
        description = self._model.get_spec().description
        self.inputs = tuple(map(self._describe, description.input))
        self.outputs = tuple(map(self._describe, description.output))

    @staticmethod
    def _describe(feature):
        array = feature.type.multiArrayType
        shape = [int(size) for size in array.shape]
        for axis, bounds in enumerate(array.shapeRange.sizeRanges):
            if bounds.lowerBound != bounds.upperBound:
                shape[axis] = None
        kinds = array.ArrayDataType.items()
        dtype = next(name.lower() for name, number in kinds if number == array.dataType)
        return tensor_of(feature.name, shape, dtype)

    def _run(self, arrays):
        if sys.platform != "darwin":
            raise ValueError("a Core ML model runs on macOS only. Received: " + sys.platform)
        results = self._model.predict(arrays)
        return {tensor.name: np.asarray(results[tensor.name]) for tensor in self.outputs}
