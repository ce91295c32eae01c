"""Runs an exported model: the same two attributes and one method whatever the format.

    runner = open_artefact("out/model.onnx")
    runner.inputs                      # (Tensor(name="input", shape=(None, 28, 28, 1), dtype="float32"),)
    runner.run({"input": images})      # {"output": array}

Only the runners of Keras models and SavedModels need Keras or TensorFlow.
"""

import contextlib
import functools
import inspect
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo import engine
from kzoo.export.report import in_short

SIGNATURE = "serving_default"
SIGNATURE_FILE = "signature.json"  # in PyTorch's archives, which keep no names
OPENVINO_FILE = "model.xml"


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model; a dimension of `None` is free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self):
        shape = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype} ({shape})"


class Runner:
    """A model that maps named arrays to named arrays.

    Attributes:
        format: the artefact's format: `keras` or one of `kzoo.export.formats.FORMATS`; `tflite` for all precisions.
        inputs: a tuple of `Tensor`: name, shape (`None` where free) and dtype.
        outputs: the same for the outputs; empty where they are known only after a run.
    """

    format = ""
    inputs = ()
    outputs = ()

    def run(self, arrays):
        """Outputs by name, for arrays by name.

        Arrays are cast to the input's dtype. An artefact that was frozen at batch 1 runs one example at a
        time, so that any batch can be given.

        Raises:
            ValueError: if an input is missing, unknown or of the wrong shape.
        """
        arrays = self._checked(arrays)
        sizes = {len(arrays[tensor.name]) for tensor in self.inputs if tensor.shape}
        if len(sizes) > 1:
            raise ValueError(f"all inputs must have the same batch size. Received: {sorted(sizes)}")
        size = sizes.pop() if sizes else None
        fixed = {tensor.shape[0] for tensor in self.inputs if tensor.shape} - {None}
        if not fixed or fixed == {size}:
            return self._run(arrays)
        if fixed != {1} or size == 0:
            raise ValueError(f"this artefact runs batches of {sorted(fixed)}. Received: batch of {size}")
        rows = [self._run({name: array[i : i + 1] for name, array in arrays.items()}) for i in range(size)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _run(self, arrays):
        raise NotImplementedError

    def _checked(self, arrays):
        names = [tensor.name for tensor in self.inputs]
        if set(arrays) != set(names):
            raise ValueError(f"the inputs are {', '.join(names)}. Received: {', '.join(arrays) or 'none'}")
        checked = {}
        for tensor in self.inputs:
            array = np.asarray(arrays[tensor.name])
            wanted = tensor.shape[1:]
            fits = array.ndim == len(tensor.shape) and all(
                want is None or want == got for want, got in zip(wanted, array.shape[1:])
            )
            if not fits:
                raise ValueError(f"wrong shape for the input {tensor}. Received: {array.shape}")
            checked[tensor.name] = np.ascontiguousarray(array, dtype=tensor.dtype)
        return checked


class KerasRunner(Runner):
    """A Keras model on the engine of this process, at full float32 precision."""

    format = "keras"

    def __init__(self, model):
        from kzoo.export import signature

        self.model = model
        self._signature = signature
        self._inputs = signature.inputs_of(model)
        self.inputs = self._inputs.tensors
        self._compiled = None
        # On JAX the call is passed on as it is, to a subclass that may have no such argument.
        self._has_training = "training" in inspect.signature(model.call).parameters

    def _run(self, arrays):
        import keras

        tensors = {
            tensor.name: keras.ops.convert_to_tensor(arrays[tensor.name], dtype=tensor.dtype)
            for tensor in self.inputs
        }
        with _exact():
            outputs = self._call(self._inputs.pack(tensors))
        named = self._signature.named_outputs(self.model, outputs)
        return {name: keras.ops.convert_to_numpy(value) for name, value in named.items()}

    def _call(self, inputs):
        import keras

        options = {"training": False} if self._has_training else {}
        if keras.config.backend() != "jax":
            return self.model(inputs, **options)
        import jax

        # Compiled as a whole it starts two to three times faster than operator by operator.
        if self._compiled is None:
            self._compiled = jax.jit(functools.partial(self.model.stateless_call, **options))
        state = self.model.non_trainable_variables
        outputs, changed = self._compiled(
            [variable.value for variable in self.model.trainable_variables],
            [variable.value for variable in state],
            inputs,
        )
        for variable, value in zip(state, changed):
            variable.assign(value)
        return outputs


class SavedModelRunner(Runner):
    """The signature `serving_default` of a TensorFlow SavedModel."""

    format = "savedmodel"

    def __init__(self, path):
        tf = engine.require("tensorflow", "export")
        self._tf = tf
        self._loaded = tf.saved_model.load(str(path))  # the signature is only valid while this lives
        if SIGNATURE not in self._loaded.signatures:
            raise ValueError(f"the SavedModel has no signature {SIGNATURE!r}. Received: {path}")
        self._function = self._loaded.signatures[SIGNATURE]
        self.inputs = tuple(
            tensor_of(name, spec.shape.as_list(), spec.dtype.name)
            for name, spec in self._function.structured_input_signature[1].items()
        )
        self.outputs = tuple(
            tensor_of(name, spec.shape.as_list() if spec.shape.rank is not None else (), spec.dtype.name)
            for name, spec in self._function.structured_outputs.items()
        )

    def _run(self, arrays):
        tensors = {name: self._tf.constant(array) for name, array in arrays.items()}
        return {name: value.numpy() for name, value in self._function(**tensors).items()}


class OnnxRunner(Runner):
    """An ONNX file on onnxruntime's CPU provider."""

    format = "onnx"

    def __init__(self, path):
        runtime = engine.require("onnxruntime", "export")
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors only
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(map(self._describe, self._session.get_inputs()))
        self.outputs = tuple(map(self._describe, self._session.get_outputs()))

    def _describe(self, node):
        dtype = node.type.removeprefix("tensor(").removesuffix(")")
        shape = [size if isinstance(size, int) else None for size in node.shape]
        return tensor_of(node.name, shape, {"float": "float32", "double": "float64"}.get(dtype, dtype))

    def _run(self, arrays):
        names = [tensor.name for tensor in self.outputs]
        return dict(zip(names, self._session.run(names, arrays)))


class TFLiteRunner(Runner):
    """The signature `serving_default` of a TFLite file on the stock interpreter, without TensorFlow."""

    format = "tflite"

    def __init__(self, path):
        from kzoo.export.operators import flex_operators

        if flex := flex_operators(path):
            # TensorFlow's own interpreter has lost the delegate for them too, in 2.20 (LiteRT issue 6458).
            raise ValueError(
                f"the stock interpreter lacks operators of TensorFlow's: {', '.join(flex)}. Received: {path}"
            )
        litert = engine.require("ai_edge_litert.interpreter", "export")
        self._interpreter = litert.Interpreter(model_path=str(path))
        signatures = self._interpreter.get_signature_list()
        if SIGNATURE not in signatures:
            raise ValueError(f"the TFLite file has no signature {SIGNATURE!r}. Received: {path}")
        self._function = self._interpreter.get_signature_runner(SIGNATURE)
        self.inputs = self._describe(self._function.get_input_details())
        self.outputs = self._describe(self._function.get_output_details())

    @staticmethod
    def _describe(details):
        return tuple(
            tensor_of(
                name,
                [None if size < 0 else size for size in detail["shape_signature"]],
                np.dtype(detail["dtype"]).name,
            )
            for name, detail in details.items()
        )

    def _run(self, arrays):
        return {name: np.array(value) for name, value in self._function(**arrays).items()}


def open_artefact(path):
    """Opens an exported model, a `.keras` file, or a folder with `model.keras`.

    The format is told by what lies at `path`: a SavedModel, `.mlpackage` or OpenVINO directory, or an `.onnx`,
    `.tflite`, `.pt2`, `.pt` (TorchScript) or OpenVINO `.xml` file.

    Returns:
        A `Runner`.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if it is none of these, or damaged.
        ImportError: if the package that runs it is missing.
    """
    from kzoo.export.vendors import CoreMLRunner, OpenVINORunner, TorchRunner

    folders = {
        "saved_model.pb": SavedModelRunner,
        OPENVINO_FILE: OpenVINORunner,
        "Manifest.json": CoreMLRunner,
    }
    files = {".onnx": OnnxRunner, ".tflite": TFLiteRunner, ".pt2": TorchRunner, ".pt": TorchRunner}
    files[".xml"] = OpenVINORunner
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file or directory. Received: {path}")
    if path.is_dir():
        for file, runner in folders.items():
            if (path / file).is_file():
                return _open(runner, path)
        if not (path / "model.keras").is_file():
            known = ", ".join(folders)
            raise ValueError(f"a directory must hold {known} or model.keras. Received: {path}")
        path = path / "model.keras"
    if path.suffix == ".keras":
        from kzoo.export.archive import load_keras

        return KerasRunner(load_keras(path))
    if path.suffix not in files:
        known = ", ".join([*files, ".keras"])
        raise ValueError(f"expected the directory of an export or one of {known}. Received: {path}")
    return _open(files[path.suffix], path)


def _open(runner, path):
    try:
        return runner(path)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # each runtime has its own exception for a damaged file
        if isinstance(error, ValueError) and "Received:" in str(error):
            raise
        raise ValueError(f"not a readable {runner.format} artefact: {path} ({in_short(error)})") from error


def tensor_of(name, shape, dtype):
    """A `Tensor` whose sizes are plain numbers."""
    return Tensor(name, tuple(None if size is None else int(size) for size in shape), dtype)


@contextlib.contextmanager
def _exact():
    """Plain inference in true float32: no gradients on torch, no TF32 on a GPU."""
    import keras

    with contextlib.ExitStack() as stack:
        backend = keras.config.backend()
        if backend == "torch":
            import torch

            stack.enter_context(torch.no_grad())
            for switch in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul):
                stack.callback(setattr, switch, "fp32_precision", switch.fp32_precision)
                switch.fp32_precision = "ieee"
        elif backend == "jax":
            import jax

            stack.enter_context(jax.default_matmul_precision("highest"))
        elif backend == "tensorflow":
            import tensorflow as tf

            switch = tf.config.experimental.enable_tensor_float_32_execution
            stack.callback(switch, tf.config.experimental.tensor_float_32_execution_enabled())
            switch(False)
        yield
