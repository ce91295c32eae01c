"""Arrays to and from the JSON of TensorFlow Serving's REST interface, on the server's and on the client's side.

A request holds tensors by row (`instances`) or by column (`inputs`); bytes are `{"b64": "…"}`; NaN and Infinity
may stand where JSON itself has no word for them.
"""

import base64
import binascii
import json

import numpy as np

from kzoo import engine
from kzoo.serve import protocol
from kzoo.serve.errors import invalid

ROW, COLUMN = "instances", "inputs"


def loads(body, allow_nan=True):
    """The object that a request's body says.

    Args:
        body: bytes.
        allow_nan: whether NaN and Infinity may stand for numbers.

    Raises:
        ServeError: if it is not JSON, or not an object.
    """
    orjson = engine.require("orjson", "serve")
    if not body:
        raise invalid("JSON Parse error: The document is empty. Received: 0 bytes")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        content = _with_nan(body, allow_nan, error)
    if not isinstance(content, dict):
        raise invalid(f"JSON Value: is not object. Received: {_kind(content)}")
    return content


def _with_nan(body, allow_nan, error):
    """Reads what is JSON but for the words NaN and Infinity, which the fast reader does not know."""
    if b"NaN" in body or b"Infinity" in body:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as slow_error:
            error = slow_error
        else:
            if allow_nan:
                return content
            raise invalid(
                "NaN and Infinity are refused by this server. Received: a request with NaN or Infinity"
            )
    if isinstance(error, RecursionError):
        raise invalid("JSON Parse error: nested too deeply") from error
    message = getattr(error, "msg", None) or str(error)
    offset = getattr(error, "pos", 0)
    raise invalid(f"JSON Parse error: {message} at offset: {offset}. Received: {len(body)} bytes") from error


def dumps(content, finite=True):
    """JSON of a structure with arrays in it, as bytes.

    Args:
        content: dicts, lists, arrays and plain values.
        finite: whether all numbers are known to be finite. If not, NaN and Infinity are written as these words,
            by a slower writer.
    """
    if not finite:
        return json.dumps(content, default=_plain, separators=(",", ":")).encode()
    orjson = engine.require("orjson", "serve")
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)


def _plain(value):
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"this cannot be written as JSON. Received: {type(value).__name__}")


def is_finite(arrays):
    """Whether no floating-point number of some arrays is NaN or infinite."""
    return all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f")


def decode_predict(content, signature):
    """The tensors of a Predict request.

    Args:
        content: the request's JSON object.
        signature: a `loading.Signature`.

    Returns:
        Arrays by input name, and `"instances"` or `"inputs"`, as the request has it.

    Raises:
        ServeError: if the request does not fit the signature.
    """
    if (ROW in content) == (COLUMN in content):
        if ROW in content:
            raise invalid("expecting only one of 'inputs' or 'instances' keys to exist. Received: both")
        raise invalid(f"Missing 'inputs' or 'instances' key. Received: {', '.join(content) or 'no keys'}")
    if ROW in content:
        return _rows(content[ROW], signature), ROW
    return _columns(content[COLUMN], signature), COLUMN


def _rows(instances, signature):
    if not isinstance(instances, list) or not instances:
        raise invalid(f"'instances' must be a list with values in it. Received: {_kind(instances)}")
    names = set(signature.inputs)
    if not _is_object(instances[0]):
        if len(names) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors are "
                f"required: {', '.join(sorted(names))}. Received: {_kind(instances[0])}"
            )
        (name,) = names
        return {name: decode(instances, signature.inputs[name], name)}
    for index, instance in enumerate(instances):
        if not _is_object(instance) or set(instance) != names:
            received = ", ".join(instance) if isinstance(instance, dict) else _kind(instance)
            raise invalid(
                f"Failed to process element: {index} of 'instances' list: keys must be equal to: "
                f"{','.join(sorted(names))}. Received: {received}"
            )
    return {
        name: decode([instance[name] for instance in instances], spec, name)
        for name, spec in signature.inputs.items()
    }


def _columns(inputs, signature):
    names = sorted(signature.inputs)
    if not _is_object(inputs):
        if len(names) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors are required: "
                f"{', '.join(names)}. Received: {_kind(inputs)}"
            )
        return {names[0]: decode(inputs, signature.inputs[names[0]], names[0])}
    for name in names:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object. Received: {', '.join(inputs)}")
    return {name: decode(inputs[name], signature.inputs[name], name) for name in names}


def decode(value, spec, name):
    """One tensor: a number, a string, `{"b64": …}`, or lists of these.

    Raises:
        ServeError: if a value is of another type than the tensor, lost digits matter, or lists differ in length.
    """
    dtype = spec.dtype
    if dtype.kind == "O":
        return decode_strings(value, name)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        message = f"input {name!r}: lists must have equal lengths at every level. Received: a ragged list"
        raise invalid(message) from error
    kinds = {"f": "iuf", "V": "iuf", "i": "iu", "u": "iu", "b": "b", "c": "iufc"}[dtype.kind]
    if array.size == 0:
        return empty(array.shape, spec.shape, dtype)
    if array.dtype.kind not in kinds:
        raise invalid(
            f"input {name!r}: JSON Value is not of expected type: {spec.type_name}. Received: {_first(value)}"
        )
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise invalid(
                f"input {name!r}: a value is outside {dtype}. Received: {array.min()} to {array.max()}"
            )
    if dtype.kind in "fV" and array.dtype.kind in "iu":
        largest = max(abs(int(array.min())), abs(int(array.max())))
        if float(dtype.type(largest)) != largest:
            raise invalid(
                f"input {name!r}: a value cannot be {dtype} without loss of precision. Received: {largest}"
            )
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if dtype.kind == "f" and not np.array_equal(np.isfinite(converted), np.isfinite(array)):
        raise invalid(f"input {name!r}: a value is too large for {dtype}. Received: {_extreme(array)}")
    return converted


def empty(shape, wanted, dtype):
    """An array without values. An empty list says nothing of the sizes inside it: those are as wanted."""
    if shape == (0,) and wanted and all(size is not None for size in wanted[1:]):
        shape = (0, *wanted[1:])
    return np.empty(shape, dtype)


def _extreme(array):
    return array.ravel()[np.argmax(np.abs(np.nan_to_num(array)))]


def decode_strings(value, name):
    flat, shape = [], _shape(value)
    _collect(value, shape, flat, name)
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(shape)


def _shape(value):
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _collect(value, shape, flat, name):
    if isinstance(value, list):
        if not shape or len(value) != shape[0]:
            raise invalid(
                f"input {name!r}: lists must have equal lengths at every level. Received: {len(value)}"
            )
        for item in value:
            _collect(item, shape[1:], flat, name)
        return
    if shape:
        raise invalid(f"input {name!r}: a list was expected. Received: {_kind(value)}")
    flat.append(decode_string(value, name))


def decode_string(value, name):
    """The bytes of a JSON string or of `{"b64": …}`."""
    if isinstance(value, str):
        return value.encode()
    if not _is_object(value) and isinstance(value, dict):
        try:
            # Both alphabets, with and without padding, as TensorFlow Serving.
            text = value["b64"].replace("-", "+").replace("_", "/").rstrip("=")
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(f"input {name!r}: Unable to base64 decode ({error})") from error
    raise invalid(f"input {name!r}: JSON Value is not of expected type: DT_STRING. Received: {_kind(value)}")


def encode_predict(outputs, kind):
    """The JSON of a Predict response, as bytes.

    Args:
        outputs: arrays by output name.
        kind: `"instances"` or `"inputs"`, as the request had it.

    Raises:
        ServeError: if rows are asked for and the outputs differ in their first size.
    """
    ready = {name: encode(array, name) for name, array in outputs.items()}
    finite = is_finite(outputs.values())
    if kind == COLUMN:
        return dumps({"outputs": ready if len(ready) > 1 else next(iter(ready.values()))}, finite)
    sizes = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(sizes) > 1 or None in sizes:
        raise invalid(
            f"the outputs have no common batch size, use 'inputs'. Received: {sorted(map(str, sizes))}"
        )
    if len(ready) == 1:
        return dumps({"predictions": next(iter(ready.values()))}, finite)
    rows = [dict(zip(ready, row)) for row in zip(*ready.values())]
    return dumps({"predictions": rows}, finite)


def encode(array, name=""):
    """An array as `dumps` takes it: strings of names that end in `_bytes` as base64, other strings as text."""
    if array.dtype == object:
        as_base64 = name.endswith("_bytes")
        return _nested([encode_string(value, as_base64) for value in array.ravel()], array.shape)
    if array.dtype.kind == "c":
        raise invalid(f"complex numbers cannot be written as JSON. Received: output {name!r}")
    if array.dtype.kind not in "iufb":
        array = array.astype(np.float32)  # bfloat16 and its kin
    return np.ascontiguousarray(array) if array.ndim else array.item()


def encode_string(value, as_base64):
    if as_base64:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode(errors="replace")


def _nested(flat, shape):
    if not shape:
        return flat[0]
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat


def _is_object(value):
    """Whether it is an object that stands for named tensors, not for bytes."""
    return isinstance(value, dict) and not (len(value) == 1 and isinstance(value.get("b64"), str))


def _kind(value):
    names = {dict: "Object", list: "Array", str: "String", bool: "Bool", type(None): "Null"}
    return "an empty Array" if value == [] else names.get(type(value), "Number")


def _first(value):
    """The first value inside lists, in short."""
    while isinstance(value, list) and value:
        value = value[0]
    return f"{_kind(value)} {str(value)[:40]}"


def examples(content):
    """The `Input` message of a Classify or Regress request.

    Raises:
        ServeError: if the request is not of TensorFlow Serving's form.
    """
    given = protocol.input_pb2.Input()
    listed = content.get("examples")
    if not isinstance(listed, list) or not listed:
        raise invalid(f"'examples' must be a list with examples in it. Received: {_kind(listed)}")
    if "context" in content:
        into = given.example_list_with_context
        _fill_example(content["context"], into.context)
    else:
        into = given.example_list
    for example in listed:
        _fill_example(example, into.examples.add())
    return given


def _fill_example(value, example):
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object. Received: {_kind(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        values = content if isinstance(content, list) else [content]
        kinds = {_feature_kind(item, name) for item in values}
        if len(kinds) > 1:
            raise invalid(f"Unexpected element type in feature: {name}. Received: {', '.join(sorted(kinds))}")
        if kinds == {"bytes"}:
            feature.bytes_list.value.extend(decode_string(item, name) for item in values)
        elif kinds == {"float"}:
            feature.float_list.value.extend(values)
        elif kinds == {"int64"}:
            feature.int64_list.value.extend(int(item) for item in values)


def _feature_kind(value, name):
    if isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return "int64"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str) or (isinstance(value, dict) and not _is_object(value)):
        return "bytes"
    raise invalid(f"Feature: {name} has element with unexpected JSON type. Received: {_kind(value)}")
