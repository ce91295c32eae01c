"""TensorFlow Serving's messages and services without TensorFlow, and NumPy arrays to and from `TensorProto`.

The package tensorflow-serving-api imports all of TensorFlow (seconds, hundreds of megabytes) to get at message
classes that are plain files of their own. Here `tensorflow` is, while those are imported, an empty module with
TensorFlow's folder for a path; a real `import tensorflow` later works as ever.
"""

import contextlib
import importlib.util
import math
import sys
import types

import numpy as np

from kzoo import engine
from kzoo.serve.errors import ServeError, invalid

MAX_TENSOR_BYTES = 1 << 30  # what one tensor of a request may grow to once it is unpacked


@contextlib.contextmanager
def _tensorflow_not_imported():
    """Lets modules of TensorFlow's folder be imported without running its `__init__`."""
    spec = importlib.util.find_spec("tensorflow") if "tensorflow" not in sys.modules else None
    if spec is None:  # it is imported already, or it is missing and the import below says so
        yield
        return
    placeholder = types.ModuleType("tensorflow")
    placeholder.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = placeholder
    try:
        yield
    finally:
        if sys.modules.get("tensorflow") is placeholder:
            del sys.modules["tensorflow"]


engine.require("tensorflow_serving", "serve")
engine.require("grpc", "serve")
with _tensorflow_not_imported():
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2, saved_model_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )
    from tensorflow_serving.config import model_server_config_pb2

__all__ = [
    "MAX_TENSOR_BYTES",
    "classification_pb2",
    "dtype_of",
    "error_codes_pb2",
    "example_pb2",
    "feature_pb2",
    "from_proto",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "saved_model_pb2",
    "tensor_pb2",
    "tensor_shape_pb2",
    "to_proto",
    "types_pb2",
]

# TensorFlow's type: NumPy's name for it, and the field for values that are not packed in `tensor_content`.
_TYPES = {
    "DT_FLOAT": ("float32", "float_val"),
    "DT_DOUBLE": ("float64", "double_val"),
    "DT_HALF": ("float16", "half_val"),
    "DT_BFLOAT16": ("bfloat16", "half_val"),
    "DT_FLOAT8_E5M2": ("float8_e5m2", "float8_val"),
    "DT_FLOAT8_E4M3FN": ("float8_e4m3fn", "float8_val"),
    "DT_INT8": ("int8", "int_val"),
    "DT_INT16": ("int16", "int_val"),
    "DT_INT32": ("int32", "int_val"),
    "DT_INT64": ("int64", "int64_val"),
    "DT_UINT8": ("uint8", "int_val"),
    "DT_UINT16": ("uint16", "int_val"),
    "DT_UINT32": ("uint32", "uint32_val"),
    "DT_UINT64": ("uint64", "uint64_val"),
    "DT_BOOL": ("bool", "bool_val"),
    "DT_STRING": ("object", "string_val"),
    "DT_COMPLEX64": ("complex64", "scomplex_val"),
    "DT_COMPLEX128": ("complex128", "dcomplex_val"),
}
_ENUM = {name: types_pb2.DataType.Value(name) for name in _TYPES}
_NAME = {number: name for name, number in _ENUM.items()}
_FROM_NUMPY = {numpy_name: _ENUM[name] for name, (numpy_name, _) in _TYPES.items()}


def _numpy(name):
    if name.startswith(("bfloat16", "float8")):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)


def dtype_of(enum):
    """NumPy's dtype for a value of TensorFlow's `DataType`; strings are objects (`bytes`).

    Raises:
        ServeError: if arrays of that type cannot be sent.
    """
    if enum not in _NAME:
        known = types_pb2.DataType.Name(enum) if enum in types_pb2.DataType.values() else enum
        raise invalid(f"tensors of this type cannot be sent. Received: dtype={known}")
    return _numpy(_TYPES[_NAME[enum]][0])


def enum_of(dtype):
    """TensorFlow's `DataType` for a NumPy dtype; the dtypes of text and of bytes are strings."""
    dtype = np.dtype(dtype)
    name = "object" if dtype.kind in "SUO" else dtype.name
    if name not in _FROM_NUMPY:
        raise ValueError(f"TensorFlow has no tensors of this dtype. Received: {dtype}")
    return _FROM_NUMPY[name]


def to_proto(array):
    """A `TensorProto` of an array of any shape; text is encoded as UTF-8.

    Raises:
        ValueError: if TensorFlow has no such dtype, or an object is neither text nor bytes.
    """
    array = np.asarray(array)
    enum = enum_of(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=enum)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if enum == types_pb2.DT_STRING:
        proto.string_val.extend(_as_bytes(value) for value in array.ravel().tolist())
    else:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        proto.tensor_content = little.tobytes()
    return proto


def _as_bytes(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise ValueError(f"a tensor of strings holds text or bytes. Received: {type(value).__name__}")


def from_proto(proto, max_bytes=MAX_TENSOR_BYTES):
    """The array of a `TensorProto`, whichever way its values are packed; possibly read-only.

    As in TensorFlow, values that are left out at the end repeat the last one, and none at all means zeros.

    Raises:
        ServeError: if the message is malformed, or the tensor would be larger than `max_bytes`.
    """
    dtype = dtype_of(proto.dtype)
    shape = _shape(proto.tensor_shape)
    count = math.prod(shape)
    if count * max(dtype.itemsize, 1) > max_bytes:
        raise ServeError(
            "RESOURCE_EXHAUSTED", f"a tensor may have {max_bytes} bytes. Received: shape={list(shape)}"
        )
    field = _TYPES[_NAME[proto.dtype]][1]
    if proto.tensor_content:
        flat = _from_content(proto.tensor_content, proto.dtype, dtype, count)
    else:
        flat = _from_values(getattr(proto, field), proto.dtype, dtype, count)
    return flat.reshape(shape)


def _shape(proto):
    sizes = [dim.size for dim in proto.dim]
    if proto.unknown_rank or any(size < 0 for size in sizes):
        raise invalid(f"the shape of a tensor must be known. Received: {sizes or 'unknown rank'}")
    if len(sizes) > 32:
        raise invalid(f"a tensor may have 32 dimensions. Received: {len(sizes)}")
    return tuple(sizes)


def _from_content(content, enum, dtype, count):
    if enum == types_pb2.DT_STRING:
        return _strings(content, count)
    if len(content) != count * dtype.itemsize:
        raise invalid(
            f"tensor_content must have {count * dtype.itemsize} bytes for {count} values of {dtype}. "
            f"Received: {len(content)} bytes"
        )
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype, copy=False)


def _strings(content, count):
    """Strings packed as TensorFlow packs them: all their lengths as varints, then all their bytes."""
    lengths, position = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if position >= len(content) or shift > 63:
                raise invalid(f"tensor_content is cut short. Received: {len(content)} bytes")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise invalid(f"tensor_content does not hold {count} strings. Received: {len(content)} bytes")
    flat = np.empty(count, dtype=object)
    for index, length in enumerate(lengths):
        flat[index] = content[position : position + length]
        position += length
    return flat


def _from_values(values, enum, dtype, count):
    name = _NAME[enum]
    try:
        flat = _unpacked(values, name, dtype)
    except (OverflowError, ValueError) as error:
        raise invalid(f"a value does not fit into {dtype} ({error}). Received: dtype={name}") from error
    if len(flat) > count:
        raise invalid(f"the tensor's shape takes {count} values. Received: {len(flat)} values")
    if len(flat) == count:
        return flat
    rest = flat[-1] if len(flat) else (b"" if enum == types_pb2.DT_STRING else dtype.type(0))
    whole = np.empty(count, dtype=dtype)
    whole[: len(flat)] = flat
    whole[len(flat) :] = rest
    return whole


def _unpacked(values, name, dtype):
    if name == "DT_STRING":
        flat = np.empty(len(values), dtype=object)
        flat[:] = list(values)
        return flat
    if name in ("DT_HALF", "DT_BFLOAT16"):  # the bits of each value, as an integer
        return np.array(values, dtype=np.uint16).view(dtype)
    if name.startswith("DT_FLOAT8"):
        return np.frombuffer(values, dtype=np.uint8).view(dtype)
    if name.startswith("DT_COMPLEX"):  # real and imaginary parts in turn
        if len(values) % 2:
            raise ValueError("a complex number has two parts")
        part = np.float32 if name == "DT_COMPLEX64" else np.float64
        return np.array(values, dtype=part).view(dtype)
    return np.fromiter(values, dtype=dtype, count=len(values))
