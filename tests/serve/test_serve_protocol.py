"""Messages without TensorFlow, arrays to and from `TensorProto`."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from launched import ENVIRONMENT

from kzoo.serve import ServeError
from kzoo.serve.protocol import from_proto, tensor_pb2, to_proto, types_pb2

pytestmark = pytest.mark.once

SIZED = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES = ["float16", "float32", "float64", *SIZED, "bool", "complex64", "complex128"]
SMALL = [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn]


def proto(dtype, shape, **values):
    made = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


@pytest.mark.parametrize("dtype", [*DTYPES, *SMALL], ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)], ids=str)
def test_an_array_comes_back_as_it_was(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    back = from_proto(tensor_pb2.TensorProto.FromString(to_proto(array).SerializeToString()))
    assert back.dtype == array.dtype and back.shape == shape
    np.testing.assert_array_equal(back, array)


def test_an_array_of_the_other_byte_order_comes_back_with_its_values():
    np.testing.assert_array_equal(from_proto(to_proto(np.array([1, 258], ">i4"))), [1, 258])


@pytest.mark.parametrize(
    "array", [["a", "bé"], [[b"\xff\x00"], [b""]], "one"], ids=["text", "bytes", "scalar"]
)
def test_strings_come_back_as_bytes(array):
    given = np.array(array, dtype=object)
    back = from_proto(to_proto(given))
    assert back.shape == given.shape
    assert back.ravel().tolist() == [v.encode() if isinstance(v, str) else v for v in given.ravel().tolist()]


def test_values_that_are_left_out_repeat_the_last_or_are_zero():
    np.testing.assert_array_equal(from_proto(proto(types_pb2.DT_FLOAT, (3,), float_val=[1.5])), [1.5] * 3)
    np.testing.assert_array_equal(from_proto(proto(types_pb2.DT_INT64, (2, 2))), np.zeros((2, 2)))
    assert from_proto(proto(types_pb2.DT_STRING, (2,), string_val=[b"x"])).tolist() == [b"x", b"x"]


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (proto(types_pb2.DT_HALF, (2,), half_val=[0x3C00, 0xC000]), [1.0, -2.0]),
        (proto(types_pb2.DT_BFLOAT16, (2,), half_val=[0x3F80, 0xC000]), [1.0, -2.0]),
        (proto(types_pb2.DT_FLOAT8_E5M2, (2,), float8_val=b"\x3c\xc0"), [1.0, -2.0]),
        (proto(types_pb2.DT_UINT8, (2,), int_val=[0, 255]), [0, 255]),
        (proto(types_pb2.DT_INT8, (2,), int_val=[-128, 127]), [-128, 127]),
        (proto(types_pb2.DT_UINT64, (1,), uint64_val=[2**64 - 1]), [2**64 - 1]),
        (proto(types_pb2.DT_BOOL, (2,), bool_val=[True, False]), [True, False]),
        (proto(types_pb2.DT_COMPLEX64, (1,), scomplex_val=[1, 2]), [1 + 2j]),
        (proto(types_pb2.DT_STRING, (2,), tensor_content=b"\x01\x02abc"), [b"a", b"bc"]),
    ],
    ids=lambda value: types_pb2.DataType.Name(value.dtype) if hasattr(value, "dtype") else "",
)
def test_every_field_that_holds_values_is_read(message, values):
    assert from_proto(message).tolist() == values


@pytest.mark.parametrize(
    "message",
    [
        proto(types_pb2.DT_FLOAT, (2,), tensor_content=b"\0" * 7),
        proto(types_pb2.DT_FLOAT, (2,), float_val=[1, 2, 3]),
        proto(types_pb2.DT_UINT8, (1,), int_val=[300]),
        proto(types_pb2.DT_COMPLEX64, (1,), scomplex_val=[1]),
        proto(types_pb2.DT_STRING, (2,), tensor_content=b"\x01\xff"),
        proto(types_pb2.DT_STRING, (1,), tensor_content=b"\x05ab"),
        proto(types_pb2.DT_FLOAT, (-1,), float_val=[1]),
        proto(types_pb2.DT_RESOURCE, (1,)),
        proto(99, (1,)),
        proto(types_pb2.DT_FLOAT, (1,) * 40, float_val=[1]),
    ],
    ids=[
        "short",
        "long",
        "range",
        "half a number",
        "no lengths",
        "cut",
        "shape",
        "type",
        "unknown type",
        "rank",
    ],
)
def test_a_malformed_tensor_is_refused_with_what_was_received(message):
    with pytest.raises(ServeError, match="Received: ") as caught:
        from_proto(message)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_a_small_message_that_stands_for_a_huge_tensor_is_refused():
    with pytest.raises(ServeError, match="Received: shape=") as caught:
        from_proto(proto(types_pb2.DT_FLOAT, (1 << 20, 1 << 20), float_val=[1]))
    assert caught.value.code == "RESOURCE_EXHAUSTED"


def test_an_array_that_tensorflow_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="Received: datetime64"):
        to_proto(np.array(["2026-01-01"], dtype="datetime64[D]"))
    with pytest.raises(ValueError, match="Received: int"):
        to_proto(np.array([1], dtype=object))


def test_the_messages_are_imported_without_tensorflow_and_tensorflow_can_be_imported_after_them():
    code = """
import sys
sys.argv[0] = "kzoo"
from kzoo.serve import protocol
before = sorted(name for name in sys.modules if name == "tensorflow" or name.startswith("tensorflow.python"))
import numpy as np
protocol.to_proto(np.ones(2))
import tensorflow as tf
same = tf.make_ndarray(tf.make_tensor_proto([1.0])).tolist() == [1.0]
mine = protocol.from_proto(tf.make_tensor_proto(tf.constant([[1.5], [2.5]]))).tolist()
theirs = tf.make_ndarray(protocol.to_proto(np.array([[1.5], [2.5]], "float16"))).tolist()
print(before, same, mine == theirs == [[1.5], [2.5]])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[] True True", done.stderr[-2000:]
