"""A real server with real SavedModels: REST, gRPC and plain TensorFlow agree, and bad input is answered as such."""

import json
import socket
import threading

import grpc
import httpx
import numpy as np
import pytest
from fakes import together

from kzoo.serve import Client, ServeError
from kzoo.serve.protocol import (
    from_proto,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    to_proto,
)

pytestmark = pytest.mark.once

RIGHT = {"instances": [[1.0, 2.0, 3.0]]}


@pytest.fixture(scope="module")
def reference(made):
    kept = np.load(made / "reference.npz", allow_pickle=True)
    return (
        {key[3:]: kept[key] for key in kept if key.startswith("in_")},
        {key[4:]: kept[key] for key in kept if key.startswith("out_")},
    )


@pytest.fixture(scope="module", params=["rest", "grpc"])
def client(request, server):
    address = server.rest if request.param == "rest" else server.grpc
    with Client(address, protocol=request.param, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def web(server):
    with httpx.Client(base_url=server.rest, timeout=30, trust_env=False) as web:
        yield web


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def serves_on(web):
    answer = web.post("/v1/models/scale:predict", json=RIGHT)
    return answer.status_code == 200 and answer.json() == {"predictions": [[3.0, 5.0, 7.0]]}


def test_both_interfaces_give_what_plain_tensorflow_gives(client, reference):
    given, wanted = reference
    outputs = client.predict(given, model="mixed")
    assert sorted(outputs) == sorted(wanted)
    for name, array in outputs.items():
        want = wanted[name]
        if name == "upper" and client.protocol == "rest":
            want = np.array([word.decode().encode() for word in want], dtype=object)
        np.testing.assert_array_equal(array.astype("float32") if name == "brain" else array, want)
        assert name == "brain" or array.dtype == want.dtype


def test_one_output_is_a_bare_array(client):
    answer = client.predict(np.ones((2, 3), "float32"), model="scale")
    np.testing.assert_array_equal(answer, np.full((2, 3), 3.0, "float32"))
    assert answer.dtype == "float32"


def test_a_signature_with_a_fixed_batch_is_run_without_batching(client):
    def ask(index):
        return client.predict(np.full((1, 2), index, "float32"), "fixed", model="mixed").item()

    assert together(6, ask) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


def test_outputs_with_fewer_rows_than_the_inputs_are_not_mixed_up(client):
    def ask(index):
        return client.predict(np.array([index, 0, index], "int32"), "chosen", model="mixed").tolist()

    assert together(6, ask) == [[], [1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]


def test_an_empty_batch_is_answered_with_one(client):
    assert client.predict(np.empty((0, 3), "float32"), model="scale").shape == (0, 3)


def test_not_a_number_goes_in_and_out(client):
    answer = client.predict(np.array([[np.nan, np.inf, 1]], "float32"), model="scale")
    np.testing.assert_array_equal(answer, np.array([[np.nan, np.inf, 3]], "float32"))


def test_encoded_pictures_are_classified_and_a_junk_one_spoils_no_other(client, made):
    samples = made / "served/classifier/1/assets.extra/samples"
    found = client.classify([samples / "dark.png", (samples / "bright.png").read_bytes()], model="classifier")
    assert [one.labels[0] for one in found] == ["dark", "bright"]
    assert all(abs(sum(one.scores) - 1) < 1e-5 and one.scores[0] > 0.9 for one in found)

    def ask(index):
        return client.classify(b"junk" if index == 3 else samples / "grey.png", model="classifier")

    results = together(8, ask)
    assert isinstance(results[3], ServeError) and results[3].code == "INVALID_ARGUMENT"
    assert "image" in str(results[3])
    assert [r[0].labels[0] for i, r in enumerate(results) if i != 3] == ["grey"] * 7


def test_metadata_and_status_say_what_there_is(client):
    metadata = client.metadata(model="mixed")
    assert set(metadata) == {"serving_default", "fixed", "root", "chosen"}
    serving = metadata["serving_default"]
    assert serving["method"] == "tensorflow/serving/predict"
    assert serving["inputs"]["numbers"].shape == (None, 2) and serving["inputs"]["count"].dtype == "int32"
    assert client.metadata(model="classifier")["classify"]["method"] == "tensorflow/serving/classify"
    assert [tuple(one) for one in client.status(model="scale")] == [(1, "AVAILABLE", "OK", "")]


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


def test_only_the_outputs_asked_for_are_sent(stub, reference):
    given, wanted = reference
    request = predict_pb2.PredictRequest(model_spec={"name": "mixed"}, output_filter=["even", "total"])
    for name, array in given.items():
        request.inputs[name].CopyFrom(to_proto(array))
    outputs = stub.Predict(request, timeout=30).outputs
    assert set(outputs) == {"even", "total"}
    np.testing.assert_array_equal(from_proto(outputs["total"]), wanted["total"])


def test_classify_and_regress_give_the_same_over_both_interfaces(web, stub, made):
    from kzoo.serve.protocol import classification_pb2, regression_pb2

    picture = (made / "served/classifier/1/assets.extra/samples/grey.png").read_bytes()
    request = classification_pb2.ClassificationRequest(
        model_spec={"name": "classifier", "signature_name": "classify"}
    )
    feature = request.input.example_list.examples.add().features.feature
    feature["image/encoded"].bytes_list.value.append(picture)
    (row,) = stub.Classify(request, timeout=30).result.classifications
    import base64

    body = {
        "signature_name": "classify",
        "examples": [{"image/encoded": {"b64": base64.b64encode(picture).decode()}}],
    }
    answer = web.post("/v1/models/classifier:classify", json=body).json()
    assert [[one.label, one.score] for one in row.classes] == answer["results"][0]
    assert answer["results"][0][0][0] == "grey"

    request = regression_pb2.RegressionRequest(model_spec={"name": "classifier", "signature_name": "regress"})
    request.input.example_list_with_context.context.features.feature["z"].int64_list.value.append(5)
    for x in (1.0, 2.0):
        example = request.input.example_list_with_context.examples.add()
        example.features.feature["x"].float_list.value.append(x)
    assert [one.value for one in stub.Regress(request, timeout=30).result.regressions] == [7.5, 8.0]
    body = {"signature_name": "regress", "context": {"z": 5}, "examples": [{"x": 1.0}, {"x": 2.0}]}
    assert web.post("/v1/models/classifier:regress", json=body).json() == {"results": [7.5, 8.0]}


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


def test_what_is_not_done_says_so(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(inference_pb2.MultiInferenceRequest(), timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED and "Classify" in caught.value.details()
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec={"name": "scale"})
    for fields in ([], ["nope"]):
        request.metadata_field[:] = fields
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetModelMetadata(request, timeout=30)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_status_and_metadata_have_the_form_of_tensorflow_serving(web):
    status = web.get("/v1/models/scale/versions/1").json()
    version = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert status == {"model_version_status": [version]}
    metadata = web.get("/v1/models/scale/metadata").json()
    assert metadata["model_spec"] == {"name": "scale", "signature_name": "", "version": "1"}
    x = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in x["tensor_shape"]["dim"]] == ["-1", "3"]


def test_metrics_have_the_names_of_tensorflow_serving(web):
    web.post("/v1/models/scale:predict", json=RIGHT)
    web.post("/v1/models/made_up_name:predict", json=RIGHT)
    text = web.get("/monitoring/prometheus/metrics").text
    assert "# TYPE :tensorflow:serving:request_count counter" in text
    assert ':tensorflow:serving:request_count{model_name="scale",status="OK"}' in text
    assert (
        ':tensorflow:serving:request_latency_bucket{API="Predict",entrypoint="REST",le="10.0",model_name="scale"}'
        in text
    )
    assert ':tensorflow:serving:model_version_available{model_name="scale",version="1"} 1.0' in text
    assert "made_up_name" not in text


def test_requests_of_many_clients_over_both_interfaces_are_all_answered_rightly(server):
    clients = [
        Client(server.rest if kind == "rest" else server.grpc, "scale", protocol=kind, timeout=60)
        for kind in ("rest", "grpc")
    ]

    def work(index):
        client = clients[index % 2]
        for step in range(20):
            x = np.full((1 + step % 4, 3), index * 100 + step, "float32")
            np.testing.assert_array_equal(client.predict(x), 2 * x + 1)
        return True

    assert together(16, work) == [True] * 16
    for client in clients:
        client.close()


def test_a_deadline_is_told_over_grpc_and_does_not_stop_the_server(server, web):
    with Client(server.grpc, "slow", protocol="grpc", retries=0) as client:
        given = {"x": np.ones(1, "float32"), "rounds": np.array([1], "int32")}
        client.predict(given)
        with pytest.raises(ServeError) as caught:
            client.predict(given | {"rounds": np.array([1500], "int32")}, timeout=0.15)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert serves_on(web)


def test_a_slow_request_of_one_model_holds_up_no_other(server, web):
    overtaken = []
    with Client(server.rest, "slow", timeout=120) as client:
        for rounds in (1500, 6000, 24000):  # a busy machine may need a slower one to be overtaken
            given = {"x": np.ones(1, "float32"), "rounds": np.array([rounds], "int32")}
            slow = threading.Thread(target=client.predict, args=(given,))
            slow.start()
            overtaken.append(serves_on(web) and slow.is_alive())
            slow.join()
            if overtaken[-1]:
                break
    assert overtaken[-1]
