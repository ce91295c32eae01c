"""What a real server refuses, over REST and gRPC: with TensorFlow Serving's codes, and it serves on."""

import json
import socket

import grpc
import numpy as np
import pytest
from launched import RIGHT, serves_on

from kzoo.serve import ServeError
from kzoo.serve.protocol import (
    from_proto,
    predict_pb2,
    prediction_service_pb2_grpc,
    to_proto,
)

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ({"model": "nope"}, "NOT_FOUND"),
        ({"model": "scale", "version": 7}, "NOT_FOUND"),
        ({"model": ".."}, "NOT_FOUND"),
        ({"model": "../../served/scale"}, "NOT_FOUND"),
        ({"model": "/etc/passwd"}, "NOT_FOUND"),
        ({"model": "scale", "label": "stable"}, "INVALID_ARGUMENT"),  # as TensorFlow Serving
        ({"model": "scale", "signature": "nope"}, "FAILED_PRECONDITION"),
    ],
    ids=str,
)
def test_what_is_not_there_has_the_code_of_tensorflow_serving(client, where, code):
    with pytest.raises(ServeError) as caught:
        client.predict(np.ones((1, 3), "float32"), **where)
    assert caught.value.code == code
    if "signature" not in where:
        with pytest.raises(ServeError) as caught:
            client.status(**where)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/nope:predict", 404),
        ("/v1/models/scale/versions/7:predict", 404),
        ("/v1/models/scale/labels/stable:predict", 400),
        ("/v1/models/..%2f..%2fetc%2fpasswd:predict", 404),
        ("/v1/models/%2e%2e:predict", 404),
        ("/v1/models/scale%00:predict", 404),
        ("/v1/models/a/b/c:predict", 400),
        ("/v1/models/scale:explode", 400),
        ("/v1/models/scale", 400),
        ("/v1/models/scale/versions/x:predict", 400),
        ("/v1/models/scale/versions/99999999999999999999:predict", 400),
        ("/v2/models/scale:predict", 404),
    ],
)
def test_a_path_that_leads_nowhere_has_the_status_of_tensorflow_serving(web, path, status):
    answer = web.post(path, json=RIGHT)
    assert answer.status_code == status
    if path.startswith("/v1"):
        assert list(answer.json()) == ["error"]
    assert serves_on(web)


@pytest.mark.parametrize(
    "target", ["/v1/models/../../etc/passwd:predict", "//v1/models/scale:predict", "/v1/models/%zz:predict"]
)
def test_a_path_that_no_client_library_would_send_is_refused(server, web, target):
    host, port = server.rest.removeprefix("http://").split(":")
    body = json.dumps(RIGHT)
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert raw.recv(1000).split()[1] in (b"400", b"404")
    assert serves_on(web)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"instances": [[1, 2, 3',
        b"not json",
        b"[]",
        b"{}",
        b'{"instances": []}',
        b'{"instances": [[1, 2]]}',
        b'{"instances": [[[1, 2, 3]]]}',
        b'{"instances": [1, 2, 3]}',
        b'{"instances": [["a", "b", "c"]]}',
        b'{"instances": [[true, false, true]]}',
        b'{"instances": [[1, 2, 3], [4]]}',
        b'{"instances": [[1, 2, 3]], "signature_name": 5}',
        b'{"instances": [[1, 2, 3]], "signature_name": "nope"}',
        b'{"inputs": {"z": [[1, 2, 3]]}}',
        b"\x00\xff" * 100,
        b'{"a":' * 50_000,
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_a_bad_body_is_answered_with_400_and_a_message_and_the_server_serves_on(web, body):
    answer = web.post("/v1/models/scale:predict", content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()["error"]) > 10
    assert serves_on(web)


def test_a_body_of_100_megabytes_is_refused_with_413(web):
    answer = web.post("/v1/models/scale:predict", content=b" " * 100_000_000)
    assert answer.status_code == 413 and "67108864" in answer.json()["error"]
    assert serves_on(web)


def test_a_message_of_100_megabytes_is_refused_over_grpc(server, stub, web):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc, options) as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "scale"
        request.inputs["x"].CopyFrom(to_proto(np.zeros((9_000_000, 3), "float32")))
        with pytest.raises(grpc.RpcError) as caught:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert serves_on(web)


def predict_request(array, model="scale", name="x", **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = spec.get("signature", "")
    request.inputs[name].CopyFrom(to_proto(array))
    return request


@pytest.mark.parametrize(
    "request_",
    [
        predict_request(np.ones((1, 2), "float32")),
        predict_request(np.ones(3, "float32")),
        predict_request(np.ones((1, 3), "int32")),
        predict_request(np.array([["a", "b", "c"]], dtype=object)),
        predict_request(np.ones((1, 3), "float32"), name="z"),
        predict_request(np.ones((1, 3), "float32"), model=""),
        predict_pb2.PredictRequest(model_spec={"name": "scale"}),
        predict_pb2.PredictRequest(
            model_spec={"name": "scale"}, inputs={"x": {"dtype": 1, "tensor_content": b"123"}}
        ),
        predict_pb2.PredictRequest(
            model_spec={"name": "scale"},
            inputs={"x": to_proto(np.ones((1, 3), "float32"))},
            output_filter=["nope"],
        ),
    ],
    ids=["shape", "rank", "dtype", "strings", "name", "no model", "no inputs", "malformed tensor", "filter"],
)
def test_a_bad_message_is_an_invalid_argument(stub, web, request_):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_, timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT and len(caught.value.details()) > 10
    assert serves_on(web)


def test_a_truncated_protobuf_is_an_internal_error_as_in_tensorflow_serving_and_the_server_serves_on(
    server, web
):
    whole = predict_request(np.ones((1, 3), "float32")).SerializeToString()
    with grpc.insecure_channel(server.grpc) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for cut in (b"\xff", whole[:-3], whole[: len(whole) // 2]):
            with pytest.raises(grpc.RpcError) as caught:
                predict(cut, timeout=30)
            assert caught.value.code() == grpc.StatusCode.INTERNAL
        answer = predict_pb2.PredictResponse.FromString(predict(whole, timeout=30))
    np.testing.assert_array_equal(from_proto(answer.outputs["y"]), [[3, 3, 3]])
    assert answer.model_spec.version.value == 1 and answer.model_spec.signature_name == "serving_default"
    assert serves_on(web)


@pytest.mark.parametrize(
    ("method", "body", "part"),
    [
        ("classify", {"examples": [{"x": 1.0}]}, "method_name"),
        ("classify", {"examples": [{"x": 1.0}], "signature_name": "nope"}, "classify"),
        ("classify", {"signature_name": "classify"}, "examples"),
        ("classify", {"signature_name": "classify", "examples": [{"image/encoded": "junk"}]}, "image"),
        ("regress", {"signature_name": "classify", "examples": [{"x": 1.0}]}, "method_name"),
        ("regress", {"signature_name": "regress", "examples": [{"y": 1.0}]}, "x"),
    ],
    ids=str,
)
def test_examples_that_do_not_fit_are_answered_with_400(web, method, body, part):
    answer = web.post(f"/v1/models/classifier:{method}", json=body)
    assert answer.status_code == 400 and part in answer.json()["error"]
    assert serves_on(web)
