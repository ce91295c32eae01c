"""Limits, tokens, encryption and readiness, on a server in this process with models that need no TensorFlow."""

import contextlib
import json
import socket
import subprocess
import threading
import time

import grpc
import httpx
import numpy as np
import pytest
from fakes import FakeVersion, publish, together, wait_until

from kzoo.serve import Client, ServeError, Server
from kzoo.serve.auth import Guard, read_token
from kzoo.serve.batching import BatchingOptions
from kzoo.serve.logs import JsonLines
from kzoo.serve.rest import RestOptions
from kzoo.serve.server import TLS

pytestmark = pytest.mark.once

ONE = np.ones((1, 3), "float32")
PREDICT = "/v1/models/m:predict"
BODY = json.dumps({"instances": ONE.tolist()}).encode()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts servers of one model `m` on free ports and stops them at the end."""
    monkeypatch.setattr("kzoo.serve.loading.Version", FakeVersion)
    publish(tmp_path, "m", 1)
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            Server(tmp_path, **{"rest_port": 0, "grpc_port": 0, "poll_seconds": 0.02} | options)
        )


def clients(server, **options):
    return [
        Client(server.rest_address, "m", **options),
        Client(server.grpc_address, "m", protocol="grpc", **options),
    ]


def raw(server):
    host, port = server.rest_address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def serves_on(server):
    return all((client.predict(ONE) == 3).all() for client in clients(server))


def test_without_the_token_nothing_is_told_and_with_it_everything_works(start):
    server = start(token="s3cret")
    for client in [*clients(server), *clients(server, token="wrong")]:
        for call in (lambda c=client: c.predict(ONE), client.status, client.metadata):
            with pytest.raises(ServeError) as caught:
                call()
            assert caught.value.code == "UNAUTHENTICATED" and caught.value.status == 401
    for path in (
        PREDICT,
        "/v1/models/nope",
        "/kzoo/models",
        "/monitoring/prometheus/metrics",
        "/kzoo/models/m/samples/dot.png",
    ):
        answer = httpx.request("POST" if path == PREDICT else "GET", server.rest_address + path)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    for path in ("/healthz", "/readyz", "/"):
        assert httpx.get(server.rest_address + path).status_code == 200
    for client in clients(server, token="s3cret"):
        assert (client.predict(ONE) == 3).all()


@pytest.mark.parametrize(
    ("header", "allowed"),
    [("Bearer abc", True), ("bearer abc", True), ("Bearer abcd", False), ("abc", False), ("Basic abc", False)]
    + [("Bearer ", False), (None, False), ("Bearer \u00e9", False)],
)
def test_only_the_whole_token_is_accepted(header, allowed):
    assert Guard("abc").allows(header) is allowed
    assert Guard(None).allows(header)


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("from file\n")
    monkeypatch.setenv("KZOO_TOKEN", "from environment")
    assert read_token(tmp_path / "token") == "from file" and read_token() == "from environment"
    monkeypatch.delenv("KZOO_TOKEN")
    assert read_token() is None
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ValueError, match="Received: "):
        read_token(tmp_path / "token")


def test_a_body_over_the_limit_is_refused_whether_or_not_its_length_is_declared(start):
    server = start(rest=RestOptions(max_request_bytes=1000))
    url = server.rest_address + PREDICT
    assert httpx.post(url, content=BODY + b" " * (1000 - len(BODY))).status_code == 200
    for content in (b" " * 1001, b" " * 5_000_000, iter([b" " * 600] * 2)):
        answer = httpx.post(url, content=content)
        assert answer.status_code == 413 and "1000 bytes" in answer.json()["error"]
    with raw(server) as connection:  # one that would take for ever to read is not read at all
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n".encode())
        assert connection.recv(100).split()[1] == b"413"
    assert serves_on(server)


def test_a_client_that_sends_its_headers_or_body_too_slowly_is_cut_off(start):
    server = start(rest=RestOptions(read_timeout=0.4))

    def drip(first):
        """Sends something now and then until the server has had enough; gives what it answered, and when."""
        with raw(server) as connection:
            connection.sendall(first)
            started, answer = time.monotonic(), b""
            connection.settimeout(0.15)
            with contextlib.suppress(ConnectionError):  # what is sent to a closed connection resets it
                while time.monotonic() - started < 8:
                    with contextlib.suppress(TimeoutError):
                        received = connection.recv(1000)
                        answer += received
                        if not received:
                            break
                    connection.sendall(b"" if answer else b"x")
            return answer, time.monotonic() - started

    answer, seconds = drip(b"GET /healthz HTTP/1.1\r\nHost: ")
    assert answer == b"" and 0.3 < seconds < 4
    answer, seconds = drip(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode())
    assert answer.split()[1] == b"408" and b"did not arrive" in answer and 0.3 < seconds < 4
    with raw(server) as connection:  # a first request does not buy time for the next
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while b"alive" not in received:
            received += connection.recv(1000)
        connection.sendall(b"GET /hea")
        started = time.monotonic()
        assert connection.recv(100) == b"" and time.monotonic() - started < 4
    assert serves_on(server)


def test_an_answer_that_takes_too_long_is_given_up_with_504(start):
    server = start(rest=RestOptions(timeout=0.2))
    content = {"signature_name": "pause", "instances": [1.0]}
    started = time.monotonic()
    answer = httpx.post(server.rest_address + PREDICT, json=content)
    assert answer.status_code == 504 and time.monotonic() - started < 0.9
    time.sleep(1.0)
    assert serves_on(server)


def test_requests_over_the_limit_are_refused_with_503_and_clients_try_again(start):
    server = start(rest=RestOptions(max_waiting=2, threads=2), batching=None)
    content = {"signature_name": "pause", "instances": [0.5]}
    results = together(6, lambda i: httpx.post(server.rest_address + PREDICT, json=content).status_code)
    assert sorted(results) == [200, 200, 503, 503, 503, 503]
    pause = np.array([0.1], "float32")
    for client in clients(server, retries=50, timeout=30, max_backoff=0.2):
        assert [r.tolist() for r in together(6, lambda i, c=client: c.predict(pause, "pause"))] == [
            [pause[0]]
        ] * 6


def test_a_full_queue_is_unavailable_over_both_interfaces(start):
    server = start(batching=BatchingOptions(max_batch_size=1, max_queue=1))
    pause = np.array([0.3], "float32")
    for client in clients(server, retries=0):
        results = together(5, lambda i, c=client: c.predict(pause, "pause"))
        codes = {result.code for result in results if isinstance(result, ServeError)}
        assert codes == {"UNAVAILABLE"} and any(isinstance(result, np.ndarray) for result in results)
    assert serves_on(server)


def test_not_a_number_is_refused_where_asked(start):
    server = start(refuse_nan=True)
    for value in (np.nan, np.inf):
        for client in clients(server):
            with pytest.raises(ServeError, match="refused") as caught:
                client.predict(np.array([[value, 1, 1]], "float32"))
            assert caught.value.code == "INVALID_ARGUMENT" and caught.value.status == 400
    assert serves_on(server)


def test_it_is_ready_when_there_is_a_model_and_alive_always(tmp_path, monkeypatch):
    monkeypatch.setattr("kzoo.serve.loading.Version", FakeVersion)
    with Server(tmp_path, rest_port=0, grpc_port=None, poll_seconds=0.02) as server:
        assert httpx.get(server.rest_address + "/healthz").status_code == 200
        assert httpx.get(server.rest_address + "/readyz").status_code == 503
        publish(tmp_path, "m", 1)
        assert wait_until(lambda: httpx.get(server.rest_address + "/readyz").status_code == 200)


def test_stopping_finishes_the_requests_in_flight_and_takes_no_more(start):
    server = start()
    pause, results = np.array([1.5], "float32"), []
    askers = clients(server, retries=0)
    asking = threading.Thread(
        target=lambda: results.extend(together(4, lambda i: askers[i % 2].predict(pause, "pause")))
    )
    asking.start()
    assert wait_until(lambda: server.models.in_flight == 4)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert wait_until(lambda: not server.ready)
    time.sleep(0.3)
    for client in clients(server, retries=0):
        with pytest.raises(ServeError) as caught:
            client.predict(ONE)
        assert caught.value.code == "UNAVAILABLE"
    assert asking.is_alive()
    asking.join()
    stopping.join()
    assert [result.tolist() for result in results] == [[1.5]] * 4


def test_what_outlasts_the_grace_period_is_given_up(start, caplog):
    server = start()
    pause = np.array([3.0], "float32")

    def ask(index):
        return clients(server, retries=0)[index].predict(pause, "pause")

    asking = threading.Thread(target=together, args=(2, ask))
    asking.start()
    assert wait_until(lambda: server.models.in_flight == 2)
    started = time.monotonic()
    with caplog.at_level("INFO", "kzoo.serve"):
        assert server.stop(grace=0.2) is False
    assert time.monotonic() - started < 2.5
    assert "unfinished" in caplog.text
    asking.join()
    assert wait_until(lambda: server.models.in_flight == 0)


def test_every_request_is_logged_where_asked(start, caplog):
    server = start(log_requests=True)
    with caplog.at_level("INFO", "kzoo.serve"):
        httpx.post(server.rest_address + PREDICT, content=BODY)
        httpx.post(server.rest_address + PREDICT, content=b"{}")
    told = [(r.model, r.api, r.by, r.status) for r in caplog.records if r.getMessage() == "request"]
    assert told == [("m", "Predict", "REST", "OK"), ("m", "Predict", "REST", "INVALID_ARGUMENT")]
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert line["event"] == "request" and line["level"] == "info" and line["ms"] >= 0


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(tmp_path, start):
    taken = start()
    for option, address in (("rest_port", taken.rest_address), ("grpc_port", taken.grpc_address)):
        port = int(address.rpartition(":")[2])
        other = Server(tmp_path, **{"rest_port": None, "grpc_port": None, option: port})
        with pytest.raises(OSError, match=f"Received: 127.0.0.1:{port}"):
            other.start()
    assert serves_on(taken)


def test_it_listens_on_this_machine_only_unless_told_otherwise(start):
    server = start()
    assert server.rest_address.startswith("http://127.0.0.1:") and server.grpc_address.startswith(
        "127.0.0.1:"
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a certificate of the server and of a client signed by it."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        try:
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


def test_encrypted_connections_check_the_server_and_the_client(start, certificates):
    files = {
        name: str(certificates / name)
        for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    }
    server = start(tls=TLS(files["server.pem"], files["server.key"], files["ca.pem"]), token="s3cret")
    assert server.rest_address.startswith("https://")
    mine = {"token": "s3cret", "retries": 0, "timeout": 10, "ca": files["ca.pem"]}
    for client in clients(server, **mine, certificate=(files["client.pem"], files["client.key"])):
        assert (client.predict(ONE) == 3).all()
    strangers = [*clients(server, **mine), *clients(server, **{**mine, "ca": None}, tls=True)]
    for client in strangers:
        with pytest.raises(ServeError) as caught:
            client.predict(ONE)
        assert caught.value.code == "UNAVAILABLE"


def test_a_reload_over_grpc_changes_what_is_served(start, tmp_path):
    server = start()
    publish(tmp_path, "m", 2)
    rest, client = clients(server)
    folder = tmp_path / "m"
    client.reload(
        f'model_config_list {{ config {{ name: "m" base_path: "{folder}" model_platform: "tensorflow" '
        'model_version_policy { all {} } version_labels { key: "stable" value: 1 } '
        'version_labels { key: "canary" value: 2 } } }'
    )
    for one in (rest, client):
        assert one.predict(ONE, label="stable")[0, 0] == 3 and one.predict(ONE, label="canary")[0, 0] == 4
        assert one.predict(ONE, version=1)[0, 0] == 3 and one.predict(ONE)[0, 0] == 4
    with pytest.raises(ServeError, match="did not become available"):
        client.reload(
            f'model_config_list {{ config {{ name: "m" base_path: "{folder}" '
            "model_version_policy { specific { versions: 9 } } } }"
        )
    with pytest.raises(ServeError, match="empty"):
        client.reload("")
    with pytest.raises(ValueError, match="grpc"):
        rest.reload("")
    assert client.predict(ONE)[0, 0] == 4


def test_an_unexpected_error_is_told_as_such(start, monkeypatch):
    server = start(batching=None)
    monkeypatch.setattr(FakeVersion, "_run", lambda *_: 1 / 0)
    for client in clients(server):
        with pytest.raises(ServeError, match="ZeroDivisionError") as caught:
            client.predict(ONE)
        assert caught.value.code == "INTERNAL"


def test_a_call_that_no_service_has_is_unimplemented(start):
    server = start()
    with grpc.insecure_channel(server.grpc_address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.serving.PredictionService/Nonsense")(b"", timeout=10)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
