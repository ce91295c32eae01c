"""Arrays to and from the JSON of TensorFlow Serving's REST interface."""

import base64
import json

import numpy as np
import pytest

from kzoo.serve import ServeError
from kzoo.serve.json_tensors import decode, decode_predict, encode_predict, examples, loads
from kzoo.serve.loading import Signature, TensorSpec
from kzoo.serve.protocol import types_pb2

pytestmark = pytest.mark.once


def spec(dtype, *shape):
    return TensorSpec(types_pb2.DataType.Value(f"DT_{dtype}"), shape)


ONE = Signature("one", "", {"x": spec("FLOAT", None, 2)}, {})
TWO = Signature("two", "", {"a": spec("INT32", None), "b": spec("STRING", None)}, {})


def test_rows_of_one_input_are_read():
    arrays, kind = decode_predict(loads(b'{"instances": [[1, 2], [3, 4.5]]}'), ONE)
    assert kind == "instances" and arrays["x"].dtype == "float32"
    np.testing.assert_array_equal(arrays["x"], [[1, 2], [3, 4.5]])


def test_rows_and_columns_of_several_inputs_say_the_same():
    rows = b'{"instances": [{"a": 1, "b": "x"}, {"b": {"b64": "/w=="}, "a": 2}]}'
    columns = b'{"inputs": {"a": [1, 2], "b": ["x", {"b64": "_w"}]}}'
    for body in (rows, columns):
        arrays, _ = decode_predict(loads(body), TWO)
        assert arrays["a"].tolist() == [1, 2] and arrays["a"].dtype == "int32"
        assert arrays["b"].tolist() == [b"x", b"\xff"]


def test_nan_and_infinity_are_read_where_allowed_and_refused_where_not():
    body = b'{"inputs": [[NaN, -Infinity]]}'
    arrays, _ = decode_predict(loads(body), ONE)
    np.testing.assert_array_equal(arrays["x"], [[np.nan, -np.inf]])
    with pytest.raises(ServeError, match="refused"):
        loads(body, allow_nan=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b'{"instances": [[1, 2', "at offset: 20"),
        (b"[1, 2]", "not object"),
        (b"\xff\xfe", "Parse error"),
        (b'{"a": ' + b"[" * 100_000, "Parse error"),
        (b'{"a": NaN' + b"[" * 100_000, "Parse error"),
    ],
    ids=["empty", "cut", "list", "not text", "deep", "deep with NaN"],
)
def test_what_is_no_json_object_is_refused(body, message):
    with pytest.raises(ServeError, match=message) as caught:
        loads(body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("content", "signature"),
    [
        ({}, ONE),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, ONE),
        ({"instances": []}, ONE),
        ({"instances": 3}, ONE),
        ({"instances": [[1, 2], [3]]}, ONE),
        ({"instances": [[1, None]]}, ONE),
        ({"instances": [["1", "2"]]}, ONE),
        ({"instances": [[True, False]]}, ONE),
        ({"instances": [[1, 2**40 + 1]]}, ONE),
        ({"instances": [[1, 1e40]]}, ONE),
        ({"instances": [[1, {"b64": "AA=="}]]}, ONE),
        ({"instances": [[1, 2]]}, TWO),
        ({"instances": [{"a": 1}]}, TWO),
        ({"instances": [{"a": 1, "b": "x"}, [1]]}, TWO),
        ({"inputs": [1]}, TWO),
        ({"inputs": {"a": [1]}}, TWO),
        ({"inputs": {"a": [1.5], "b": ["x"]}}, TWO),
        ({"inputs": {"a": [2**31], "b": ["x"]}}, TWO),
        ({"inputs": {"a": [2**70], "b": ["x"]}}, TWO),
        ({"inputs": {"a": [1], "b": [1]}}, TWO),
        ({"inputs": {"a": [1], "b": [{"b64": "?"}]}}, TWO),
        ({"inputs": {"a": [1], "b": ["x", ["y"]]}}, TWO),
        ({"inputs": {"a": [1], "b": [{"c": 1}]}}, TWO),
    ],
    ids=str,
)
def test_a_request_that_does_not_fit_is_refused_with_what_was_received(content, signature):
    with pytest.raises(ServeError, match=r"Received: |base64") as caught:
        decode_predict(content, signature)
    assert caught.value.status == 400


def test_half_precision_and_booleans_are_read():
    assert decode([[1.5], [2]], spec("BFLOAT16", None, 1), "x").astype("float32").tolist() == [[1.5], [2.0]]
    assert decode([True, False], spec("BOOL", None), "x").tolist() == [True, False]
    assert decode([], spec("INT64", None), "x").shape == (0,)


def test_one_output_is_bare_and_several_are_named():
    y, n = np.array([[0.1], [0.25]], "float32"), np.array([1, 2])
    assert encode_predict({"y": y}, "instances") == b'{"predictions":[[0.1],[0.25]]}'
    assert encode_predict({"y": y}, "inputs") == b'{"outputs":[[0.1],[0.25]]}'
    assert json.loads(encode_predict({"y": y, "n": n}, "instances"))["predictions"][1] == {
        "y": [0.25],
        "n": 2,
    }
    assert json.loads(encode_predict({"y": y, "n": n}, "inputs"))["outputs"]["n"] == [1, 2]


def test_strings_are_text_unless_their_name_ends_in_bytes():
    words = np.array([["é".encode()], [b"\xff"]], dtype=object)
    answer = json.loads(encode_predict({"word": words, "raw_bytes": words}, "instances"))["predictions"]
    assert answer[0] == {"word": ["é"], "raw_bytes": [{"b64": "w6k="}]}
    assert answer[1]["word"] == ["\ufffd"] and base64.b64decode(answer[1]["raw_bytes"][0]["b64"]) == b"\xff"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_finite_floats_come_back_exactly_and_others_as_words(dtype):
    array = (np.random.default_rng(0).normal(size=(50, 4)) * 10.0 ** np.arange(-2, 2)).astype(dtype)
    back = json.loads(encode_predict({"y": array}, "inputs"))["outputs"]
    np.testing.assert_array_equal(np.array(back, dtype), array)
    array[0, 0], array[1, 1] = np.nan, -np.inf
    for kind, key in (("inputs", "outputs"), ("instances", "predictions")):
        text = encode_predict({"y": array}, kind)
        assert b"NaN" in text and b"-Infinity" in text
        np.testing.assert_array_equal(np.array(json.loads(text)[key], dtype), array)
    assert np.isnan(
        json.loads(encode_predict({"y": array, "z": array}, "instances"))["predictions"][0]["z"][0]
    )


def test_rows_need_a_common_batch_size():
    outputs = {"a": np.ones(2), "b": np.ones(3)}
    with pytest.raises(ServeError, match="Received: "):
        encode_predict(outputs, "instances")
    assert json.loads(encode_predict(outputs, "inputs"))["outputs"]["b"] == [1.0, 1.0, 1.0]
    assert json.loads(encode_predict({"a": np.array(1.5)}, "inputs")) == {"outputs": 1.5}


def test_examples_take_the_type_of_their_values_and_the_context():
    given = examples(
        {"context": {"c": "x"}, "examples": [{"f": 1.5, "i": [1, True], "s": {"b64": "/w=="}}, {}]}
    )
    feature = given.example_list_with_context.examples[0].features.feature
    assert feature["f"].float_list.value[:] == [1.5] and feature["i"].int64_list.value[:] == [1, 1]
    assert feature["s"].bytes_list.value[:] == [b"\xff"]
    assert given.example_list_with_context.context.features.feature["c"].bytes_list.value[:] == [b"x"]


@pytest.mark.parametrize(
    "content",
    [{}, {"examples": []}, {"examples": [1]}, {"examples": [{"f": None}]}, {"examples": [{"f": [1, 1.5]}]}],
    ids=str,
)
def test_malformed_examples_are_refused(content):
    with pytest.raises(ServeError, match="Received: "):
        examples(content)
