"""The client: what it tries again and what not, deadlines, large inputs, and that it needs no TensorFlow."""

import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from fakes import FakeVersion, publish, together
from launched import ENVIRONMENT

from kzoo.serve import Client, ServeError, Server
from kzoo.serve.client import split_address

pytestmark = pytest.mark.once

ONE = np.ones((1, 3), "float32")
X = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "3"}]}}
SIGNATURE = {"method_name": "tensorflow/serving/predict", "inputs": {"x": X}, "outputs": {"y": X}}
METADATA = {"metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}}}


class Scripted:
    """An HTTP server that gives prepared answers to Predict: a status, `"drop"`, `"garbage"` or seconds of delay."""

    def __init__(self, *script):
        self.script, self.times, self.bodies = list(script), [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(200, METADATA)

            def do_POST(self):
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.times.append(time.monotonic())
                step = outer.script.pop(0) if outer.script else 200
                if step == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                elif step == "garbage":
                    self.answer(200, None)
                elif isinstance(step, float):
                    time.sleep(step)
                    self.answer(200, {"outputs": [[1, 2, 3]]})
                else:
                    self.answer(
                        step,
                        {"outputs": outer.bodies[-1]["inputs"]["x"]} if step == 200 else {"error": "told"},
                    )

            def answer(self, status, content):
                text = b"<html>" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def scripted():
    made = []

    def make(*script):
        made.append(Scripted(*script))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def test_an_overloaded_or_vanishing_server_is_asked_again_after_growing_pauses(scripted):
    server = scripted(503, 429, "drop", 200)
    client = Client(server.address, "m", backoff=0.1)
    np.testing.assert_array_equal(client.predict(ONE), ONE)
    pauses = np.diff(server.times)
    assert len(pauses) == 3
    for pause, longest in zip(pauses, (0.1, 0.2, 0.4)):
        assert longest / 2 <= pause < longest + 0.3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501, 504])
def test_any_other_error_is_told_at_once(scripted, status):
    server = scripted(status)
    with pytest.raises(ServeError, match="told") as caught:
        Client(server.address, "m").predict(ONE)
    assert caught.value.status == status and len(server.times) == 1


def test_an_answer_that_is_none_is_told(scripted):
    with pytest.raises(ServeError, match="not JSON") as caught:
        Client(scripted("garbage").address, "m").predict(ONE)
    assert caught.value.code == "INTERNAL"


def test_it_gives_up_after_the_retries_it_was_allowed(scripted):
    server = scripted(*[503] * 10)
    with pytest.raises(ServeError) as caught:
        Client(server.address, "m", retries=2, backoff=0.01).predict(ONE)
    assert caught.value.code == "UNAVAILABLE" and len(server.times) == 3


def test_the_deadline_holds_for_all_attempts_together(scripted):
    client = Client(
        scripted(*[503] * 100).address, "m", retries=1000, backoff=0.05, max_backoff=0.1, timeout=0.5
    )
    started = time.monotonic()
    with pytest.raises(ServeError):
        client.predict(ONE)
    assert time.monotonic() - started < 1.0
    slow = scripted(2.0)
    started = time.monotonic()
    with pytest.raises(ServeError) as caught:
        Client(slow.address, "m").predict(ONE, timeout=0.3)
    assert caught.value.code == "DEADLINE_EXCEEDED" and time.monotonic() - started < 1.5
    assert len(slow.times) == 1


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_server_that_cannot_be_reached_is_unavailable(protocol):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ServeError) as caught:
        Client(address, "m", protocol=protocol, retries=1, timeout=5).predict(ONE)
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_restart_of_the_server_is_not_noticed(tmp_path, monkeypatch, protocol):
    monkeypatch.setattr("kzoo.serve.loading.Version", FakeVersion)
    publish(tmp_path, "m", 1)
    server = Server(tmp_path, rest_port=0, grpc_port=0).start()
    address = server.rest_address if protocol == "rest" else server.grpc_address
    ports = [int(one.rpartition(":")[2]) for one in (server.rest_address, server.grpc_address)]
    client = Client(address, "m", protocol=protocol, timeout=30, retries=500, max_backoff=0.3)
    stopping, answers = threading.Event(), []

    def ask(index):
        while not stopping.is_set():
            answers.append(client.predict(ONE)[0, 0])
            time.sleep(0.002)
        return True

    asking = threading.Thread(target=lambda: answers.extend(together(4, ask)))
    asking.start()
    time.sleep(0.3)
    server.stop()
    time.sleep(0.3)
    before = len(answers)
    server = Server(tmp_path, rest_port=ports[0], grpc_port=ports[1]).start()
    time.sleep(1.5)
    stopping.set()
    asking.join()
    server.stop()
    assert answers[-4:] == [True] * 4 and set(answers[:-4]) == {3.0} and len(answers) > before + 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    publish(folder, "m", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kzoo.serve.loading.Version", FakeVersion)
        with Server(folder, rest_port=0, grpc_port=0) as server:
            yield server


@pytest.fixture(params=["rest", "grpc"])
def client(request, server):
    address = server.rest_address if request.param == "rest" else server.grpc_address
    with Client(address, "m", protocol=request.param) as client:
        yield client


def test_a_large_input_is_sent_in_parts_and_comes_back_whole(client, server):
    client._max_batch = 10
    x = np.arange(99, dtype="float32").reshape(33, 3)
    with server.models.use("m") as version:
        before = len(version.calls)
        np.testing.assert_array_equal(client.predict(x), 2 * x + 1)
        assert [rows["x"] for _, rows in version.calls[before:]] == [10, 10, 10, 3]
    words = client.predict(np.array(["a", "bb"] * 11, dtype=object), "words")
    assert words["word"].tolist() == [b"a", b"bb"] * 11 and words["n"].tolist() == [1, 2] * 11


def test_inputs_are_converted_where_nothing_is_lost_and_refused_where_it_would_be(client):
    for given in ([[1, 2, 3]], np.ones((1, 3), "float64"), np.ones((1, 3), "int8"), {"x": [[1.0, 2.0, 3.0]]}):
        assert client.predict(given).dtype == "float32"
    for wrong in (np.ones((1, 3), "complex64"), np.array([[True] * 3])):
        with pytest.raises(ValueError, match="Received: "):
            client.predict(wrong)
    with pytest.raises(ServeError) as caught:
        client.predict(np.ones((1, 4), "float32"))
    assert caught.value.code == "INVALID_ARGUMENT"
    with pytest.raises(ServeError) as caught:
        client.predict({"z": ONE})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_text_and_bytes_go_there_and_back(client):
    given = np.array(["é", b"\xc3\xa9", ""], dtype=object)
    answer = client.predict(given, "words")
    assert answer["word"].tolist() == ["é".encode(), "é".encode(), b""] and answer["n"].dtype == "int64"


def test_a_client_may_be_shared_by_threads(client):
    def work(index):
        for step in range(20):
            assert client.predict(np.full((1, 3), index + step, "float32"))[0, 0] == 2 * (index + step) + 1
        return True

    assert together(8, work) == [True] * 8


def test_what_makes_no_sense_is_refused(client):
    with pytest.raises(ValueError, match="Received: "):
        client.predict(ONE, version=1, label="stable")
    with pytest.raises(ValueError, match="Received: "):
        Client("127.0.0.1").predict(ONE)
    with pytest.raises(ValueError, match="Received: "):
        Client("127.0.0.1", protocol="soap")
    for wrong in ({"max_batch": 0}, {"token": "two words"}, {"token": "new\nline"}, {"token": ""}):
        with pytest.raises(ValueError, match="Received: "):
            Client("127.0.0.1", **wrong)
    with pytest.raises(ValueError, match="Received: "):
        client.classify([])
    with pytest.raises(ValueError, match="labels and scores"):
        client.classify(b"picture", "words")
    with pytest.raises(FileNotFoundError):
        client.classify("no such file.png")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("localhost", ("localhost", 8501, False)),
        ("localhost:9", ("localhost", 9, False)),
        ("http://a.b/", ("a.b", 8501, False)),
        ("https://a.b:443", ("a.b", 443, True)),
        ("[::1]:80", ("::1", 80, False)),
        ("::1", ("::1", 8501, False)),
    ],
)
def test_an_address_is_a_host_with_or_without_port_or_a_url(address, parts):
    assert split_address(address, 8501) == parts


@pytest.mark.parametrize("address", ["", "ftp://a", "a:b", "http://a/b", ":80"])
def test_another_address_is_refused(address):
    with pytest.raises(ValueError, match="Received: "):
        split_address(address, 8501)


def test_the_client_process_never_imports_tensorflow(server):
    code = f"""
import sys
import numpy as np
from kzoo.serve import Client
for address, protocol in (({server.rest_address!r}, "rest"), ({server.grpc_address!r}, "grpc")):
    with Client(address, "m", protocol=protocol) as client:
        answer = client.predict(np.ones((1, 3), "float32"))
        client.metadata(), client.status()
    print(answer.tolist())
print([name for name in sys.modules if name == "tensorflow" or name.startswith("tensorflow.python")])
"""
    environment = ENVIRONMENT | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n") == ["[[3.0, 3.0, 3.0]]"] * 2 + ["[]", ""], done.stderr[-2000:]
