"""A server process from start to end: versions come and go under load, directories vanish, SIGTERM is obeyed."""

import shutil
import signal
import threading
import time

import httpx
import numpy as np
import pytest
from fakes import together, wait_until
from launched import Launched

from kzoo.serve import Client, ServeError

pytestmark = pytest.mark.once

ONE = np.ones((1, 3), "float32")


@pytest.fixture(scope="module")
def base(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    for name in ("scale", "slow"):
        shutil.copytree(made / "served" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def own(base):
    """A server whose models these tests change, one after another."""
    launched = Launched(base, "--max-batch-size", 16)
    yield launched
    if launched.process.poll() is None:
        launched.process.kill()


@pytest.fixture(scope="module")
def clients(own):
    return [
        Client(own.rest, "scale", timeout=30, retries=0),
        Client(own.grpc, "scale", protocol="grpc", timeout=30, retries=0),
    ]


def publish(made, base, number):
    aside = base / "scale" / f".tmp-{number}"
    shutil.copytree(made / "spare" / str(number), aside)
    aside.rename(base / "scale" / str(number))


def test_a_new_version_takes_over_without_a_failed_or_wrong_request(own, clients, made, base):
    stopping, seen = threading.Event(), []

    def ask(index):
        while not stopping.is_set():
            answer = clients[index % 2].predict(np.full((1 + index, 3), index, "float32"))
            assert (answer == answer[0, 0]).all()
            seen.append(answer[0, 0] - 2 * index)
        return True

    results = []
    asking = threading.Thread(target=lambda: results.extend(together(6, ask)))
    asking.start()
    for number in (2, 3):
        time.sleep(0.5)
        publish(made, base, number)
        own.wait_for("unloaded", model="scale", version=number - 1)
    time.sleep(0.3)
    stopping.set()
    asking.join()
    assert results == [True] * 6  # retries are off: every single request was answered
    assert set(seen) == {1.0, 2.0, 3.0}
    assert seen[-1] == 3.0
    states = {one.version: one.state for one in clients[0].status()}
    assert states == {1: "END", 2: "END", 3: "AVAILABLE"}


def test_a_version_that_cannot_be_loaded_is_reported_and_the_old_one_goes_on(own, clients, made, base):
    broken = base / "scale" / "9"
    shutil.copytree(made / "spare" / "4", base / "scale" / ".tmp-9")
    data = next((base / "scale" / ".tmp-9" / "variables").glob("*.data*"))
    data.write_bytes(data.read_bytes()[:-2])
    (base / "scale" / ".tmp-9").rename(broken)
    own.wait_for("load_failed", version=9)
    for client in clients:
        (status,) = client.status(version=9)
        assert status.state == "END" and status.code != "OK" and "cannot be loaded" in status.message
        assert client.predict(ONE)[0, 0] == 5.0
    shutil.rmtree(broken)
    assert wait_until(lambda: clients[0].status()[0].version == 3)


def test_the_directory_may_be_removed_while_it_is_served(own, clients, base):
    shutil.rmtree(base / "scale")
    time.sleep(0.6)
    for client in clients:
        assert client.predict(ONE)[0, 0] == 5.0
    assert httpx.get(f"{own.rest}/readyz").status_code == 200


def test_sigterm_finishes_the_requests_in_flight_and_ends_with_code_0(own):
    given = {"x": np.ones(1, "float32"), "rounds": np.array([6000], "int32")}

    def ask(index):
        protocol, address = (("rest", own.rest), ("grpc", own.grpc))[index % 2]
        with Client(address, "slow", protocol=protocol, timeout=60, retries=0) as client:
            client.metadata()
            time.sleep(0.2 * (index > 1))
            return client.predict(given).tolist()

    results = []
    asking = threading.Thread(target=lambda: results.extend(together(4, ask)))
    asking.start()

    def in_flight():
        text = httpx.get(f"{own.rest}/monitoring/prometheus/metrics").text
        return ":tensorflow:serving:requests_in_flight 4.0" in text

    assert wait_until(in_flight)
    own.terminate()
    own.wait_for("stopping")
    assert asking.is_alive()
    with pytest.raises(ServeError) as caught:
        wait_until(lambda: Client(own.rest, "slow", retries=0).status() and False, timeout=5)
    assert caught.value.code == "UNAVAILABLE"
    asking.join()
    assert results == [[1.0]] * 4
    assert own.process.wait(60) == 0
    assert own.wait_for("stopped")


def test_a_second_signal_ends_it_at_once(made, tmp_path):
    server = Launched(made / "served" / "slow", "--grace", 60)
    given = {"x": np.ones(1, "float32"), "rounds": np.array([60_000], "int32")}

    def ask():
        with Client(server.rest, "slow", timeout=60, retries=0) as client, pytest.raises(ServeError):
            client.predict(given)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    server.terminate()
    server.wait_for("stopping")
    started = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(20) != 0 and time.monotonic() - started < 15
    asking.join()
