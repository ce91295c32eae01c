"""A real server with real SavedModels: REST, gRPC and plain TensorFlow agree."""

import threading

import grpc
import numpy as np
import pytest
from fakes import together
from launched import RIGHT, serves_on

from kzoo.serve import Client, ServeError
from kzoo.serve.protocol import (
    from_proto,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    to_proto,
)

pytestmark = pytest.mark.once


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
        with pytest.raises(ServeError) as caught:  # seconds of work, also on a quick machine
            client.predict(given | {"rounds": np.array([20_000], "int32")}, timeout=0.15)
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
