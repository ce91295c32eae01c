"""One loaded version of a model: a SavedModel, its signatures, and what runs them.

TensorFlow is imported here, and only when something is loaded.
"""

import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo import engine
from kzoo.serve import protocol
from kzoo.serve.batching import Batcher
from kzoo.serve.errors import ServeError, invalid

DEFAULT_SIGNATURE = "serving_default"
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
_NOISE = re.compile(r"Graph execution error|Detected at node|File \"|<stack traces|Stack trace|\[\[|Node: ")


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor of a signature.

    Attributes:
        enum: TensorFlow's `DataType`.
        shape: sizes, `None` where free; `None` if not even the rank is known.
    """

    enum: int
    shape: tuple | None

    @property
    def dtype(self):
        """NumPy's dtype; of strings it is `object`."""
        return protocol.dtype_of(self.enum)

    @property
    def type_name(self):
        return protocol.types_pb2.DataType.Name(self.enum)

    def takes(self, shape):
        """Whether an array of this shape fits."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want is None or want == got for want, got in zip(self.shape, shape)
        )

    def __str__(self):
        sizes = "?" if self.shape is None else ", ".join("?" if s is None else str(s) for s in self.shape)
        return f"{self.type_name} [{sizes}]"


@dataclass(frozen=True)
class Signature:
    """A named entry point.

    Attributes:
        inputs, outputs: `TensorSpec` by name.
        method: TensorFlow Serving's method name, which says what Classify and Regress may call.
    """

    name: str
    method: str
    inputs: dict
    outputs: dict

    @property
    def batchable(self):
        """Whether rows of several requests may be run as one batch: every tensor's first size is free."""
        specs = [*self.inputs.values(), *self.outputs.values()]
        return bool(specs) and all(spec.shape and spec.shape[0] is None for spec in specs)

    def check(self, arrays):
        """Arrays by name as the signature wants them.

        Raises:
            ServeError: if a name, a dtype or a shape does not fit, or the batch sizes differ.
        """
        if set(arrays) != set(self.inputs):
            raise invalid(
                f"input size does not match signature {self.name!r}: sent extra: "
                f"{{{', '.join(sorted(set(arrays) - set(self.inputs)))}}}, missing but required: "
                f"{{{', '.join(sorted(set(self.inputs) - set(arrays)))}}}. Received: {', '.join(sorted(arrays))}"
            )
        for name, spec in self.inputs.items():
            array = arrays[name]
            if array.dtype != spec.dtype:
                received = protocol.types_pb2.DataType.Name(protocol.enum_of(array.dtype))
                raise invalid(f"input {name!r} must be {spec}. Received: {received} {list(array.shape)}")
            if not spec.takes(array.shape):
                raise invalid(f"input {name!r} must be {spec}. Received: shape {list(array.shape)}")
        if self.batchable and len({len(array) for array in arrays.values()}) > 1:
            sizes = {name: len(array) for name, array in arrays.items()}
            raise invalid(f"input tensors must have equal 0th-dimension size. Received: {sizes}")
        return arrays


class Version:
    """A version of a model, loaded and warmed up.

    Args:
        name: the model's name.
        number: the version.
        path: its SavedModel directory, which is not read again afterwards.
        batching: a `BatchingOptions`, or `None` to run every request by itself.
        on_run: called with the model's name, the rows and the seconds of every run of the model.

    Raises:
        ServeError: if it cannot be loaded or its warm-up requests fail.
    """

    def __init__(self, name, number, path, batching=None, on_run=None):
        self.name, self.number = name, number
        self._on_run = None  # warming up does not count
        self._tf = engine.require("tensorflow", "serve")
        path = Path(path)
        with _translated(f"version {number} of {name} cannot be loaded"):
            graph = _meta_graph(path)
            tags = ["serve"] if "serve" in graph.meta_info_def.tags else None
            self._loaded = self._tf.saved_model.load(str(path), tags=tags)
            self.signature_defs = {
                key: definition
                for key, definition in graph.signature_def.items()
                if key in self._loaded.signatures
            }
            self.signatures = {key: _signature(key, d) for key, d in self.signature_defs.items()}
            self._functions = {key: self._loaded.signatures[key] for key in self.signatures}
        if not self.signatures:
            raise ServeError("FAILED_PRECONDITION", f"version {number} of {name} has no signature")
        self.samples = _samples(path)
        self._batcher = None
        with _translated(f"version {number} of {name} cannot be warmed up"):
            self.warmed_up = self._warm_up(path / WARMUP)
        self._on_run = on_run
        if batching is not None:
            self._batcher = Batcher(self._run, batching, f"{name}-{number}")

    def signature(self, name=None):
        """The signature of that name, or the default one.

        Raises:
            ServeError: if there is none.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            there = ", ".join(sorted(self.signatures))
            raise ServeError(
                "FAILED_PRECONDITION",
                f"Serving signature key {name!r} not found; there are: {there}. Received: {name!r}",
            )
        return self.signatures[name]

    def run(self, signature, arrays, deadline=None):
        """Outputs by name, for inputs by name.

        Args:
            signature: a `Signature` of this version.
            arrays: arrays by input name.
            deadline: when the answer is no longer wanted, on the clock of `time.monotonic`.

        Raises:
            ServeError: if the inputs do not fit, the model fails on them, the queue is full or time is up.
        """
        arrays = signature.check(arrays)
        if deadline is not None and time.monotonic() >= deadline:
            raise ServeError("DEADLINE_EXCEEDED", "the deadline passed before the model ran")
        if self._batcher is not None and signature.batchable:
            return self._batcher.run(signature, arrays, deadline)
        return self._run(signature, arrays)

    def close(self):
        """Stops its threads and lets go of the model."""
        if self._batcher is not None:
            self._batcher.close()
        self._loaded, self._functions = None, {}

    def _run(self, signature, arrays):
        tf = self._tf
        with _translated():
            started = time.perf_counter()
            tensors = {
                name: tf.constant(array, dtype=tf.as_dtype(signature.inputs[name].enum))
                for name, array in arrays.items()
            }
            outputs = self._functions[signature.name](**tensors)
            named = {name: _array(outputs[name]) for name in signature.outputs}
        if self._on_run is not None:
            rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
            self._on_run(self.name, rows, time.perf_counter() - started)
        return named

    def _warm_up(self, path):
        """Replays the warm-up requests, or without any runs what it can on zeros; returns how many ran."""
        count = 0
        if path.is_file():
            for record in self._tf.data.TFRecordDataset(str(path)).take(1000).as_numpy_iterator():
                self._replay(protocol.prediction_log_pb2.PredictionLog.FromString(record))
                count += 1
            return count
        for signature in self.signatures.values():
            # Zeros need not make sense to the model (encoded images do not), so this may fail.
            with contextlib.suppress(ServeError):
                self._run(signature, {key: _zeros(spec) for key, spec in signature.inputs.items()})
                count += 1
        return count

    def _replay(self, log):
        kind = log.WhichOneof("log_type")
        if kind == "predict_log":
            request = log.predict_log.request
            arrays = {key: protocol.from_proto(tensor) for key, tensor in request.inputs.items()}
        elif kind in ("classify_log", "regress_log"):
            request = getattr(log, kind).request
            examples = serialized_examples(request.input)
            arrays = dict.fromkeys(self.signature(request.model_spec.signature_name).inputs, examples)
        else:
            return
        signature = self.signature(request.model_spec.signature_name)
        self._run(signature, signature.check(arrays))


def serialized_examples(given):
    """The strings `(n,)` of an `Input` message: a serialized `tf.Example` each, the context before it.

    Raises:
        ServeError: if there is no example.
    """
    if given.WhichOneof("kind") == "example_list_with_context":
        context = given.example_list_with_context.context.SerializeToString()
        examples = given.example_list_with_context.examples
    else:
        context, examples = b"", given.example_list.examples
    if not examples:
        raise invalid("Input is empty. Received: 0 examples")
    strings = np.empty(len(examples), dtype=object)
    # Messages merge when their bytes are joined.
    strings[:] = [context + example.SerializeToString() for example in examples]
    return strings


def _meta_graph(path):
    try:
        saved = protocol.saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except Exception as error:  # protobuf's own error has no public name
        raise ServeError("DATA_LOSS", f"saved_model.pb cannot be read ({error}). Received: {path}") from error
    graphs = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs and len(saved.meta_graphs) != 1:
        raise ServeError("FAILED_PRECONDITION", f"no graph is tagged 'serve'. Received: {path}")
    return (graphs or saved.meta_graphs)[0]


def _signature(name, definition):
    return Signature(
        name,
        definition.method_name,
        {key: _spec(info) for key, info in sorted(definition.inputs.items())},
        {key: _spec(info) for key, info in sorted(definition.outputs.items())},
    )


def _spec(info):
    shape = info.tensor_shape
    if shape.unknown_rank:
        return TensorSpec(info.dtype, None)
    return TensorSpec(info.dtype, tuple(None if dim.size < 0 else dim.size for dim in shape.dim))


def _zeros(spec):
    return np.full([size or 1 for size in spec.shape or ()], b"" if spec.dtype == object else 0, spec.dtype)


def _samples(path):
    """Small pictures to try the model on, by file name: kept, since the directory may go away."""
    folder = path / "assets.extra" / "samples"
    files = sorted(folder.glob("*.png"))[:12] if folder.is_dir() else []
    return {file.name: file.read_bytes() for file in files if file.stat().st_size <= 1 << 20}


def _array(tensor):
    value = tensor.numpy()
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


@contextlib.contextmanager
def _translated(prefix=""):
    """Turns TensorFlow's errors into `ServeError`."""
    try:
        yield
    except (ServeError, ImportError, MemoryError) as error:
        if prefix and isinstance(error, ServeError):
            raise ServeError(error.code, f"{prefix}: {error.message}") from error
        raise
    except Exception as error:  # TensorFlow raises its own errors, ValueError, TypeError, OSError …
        code = getattr(error, "error_code", None)
        name = protocol.error_codes_pb2.Code.Name(code) if isinstance(code, int) else "INTERNAL"
        text = _first_words(getattr(error, "message", None) or str(error) or type(error).__name__)
        raise ServeError(name, f"{prefix}: {text}" if prefix else text) from error


def _first_words(message):
    """What TensorFlow's message says, without the graph's stack traces and node names."""
    lines = [line.strip() for line in str(message).splitlines()]
    told = [line for line in lines if line and not _NOISE.search(line)]
    text = " ".join(told) or str(message).strip()
    return text if len(text) <= 600 else text[:600] + " …"
