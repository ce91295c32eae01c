"""Requests that wait go through the model together, and each gets its own answer."""

import threading
import time

import numpy as np
import pytest
from fakes import together, wait_until

from kzoo.serve import ServeError
from kzoo.serve.batching import Batcher, BatchingOptions
from kzoo.serve.errors import invalid
from kzoo.serve.loading import Signature, TensorSpec

pytestmark = pytest.mark.once

SPEC = TensorSpec(1, (None, 2))
SIGNATURE = Signature("double", "", {"x": SPEC}, {"y": SPEC})


class Model:
    """Doubles its input, when its gate is open; notes the rows of each run."""

    def __init__(self):
        self.rows, self.gate = [], threading.Event()
        self.gate.set()

    def __call__(self, signature, arrays):
        x = arrays["x"]
        self.rows.append(len(x))
        assert self.gate.wait(30)
        if (x < 0).any():
            raise invalid("negative")
        return {"y": x * 2}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def batcher(model):
    made = Batcher(model, BatchingOptions(max_batch_size=8, max_queue=20))
    yield made
    model.gate.set()
    made.close()


def ask(batcher, value, rows=1, deadline=None, shape=2):
    x = np.full((rows, shape), value, "float32")
    return batcher.run(SIGNATURE, {"x": x}, deadline)["y"]


def held(model, batcher, count, function, waiting=None):
    """Results of calls that came while the model was busy with another one, until so many of them waited."""
    model.gate.clear()
    first = threading.Thread(target=ask, args=(batcher, 0.0))
    first.start()
    assert wait_until(lambda: model.rows)
    opener = threading.Thread(
        target=lambda: (
            wait_until(lambda: batcher._waiting >= (waiting or count)),
            time.sleep(0.2),
            model.gate.set(),
        )
    )
    opener.start()
    results = together(count, function)
    first.join()
    opener.join()
    return results


def test_what_waits_while_the_model_runs_is_run_together(model, batcher):
    results = held(model, batcher, 8, lambda index: ask(batcher, float(index)))
    assert model.rows == [1, 8]
    for index, result in enumerate(results):
        np.testing.assert_array_equal(result, np.full((1, 2), 2.0 * index))


def test_a_batch_has_no_more_rows_than_allowed_but_a_request_may(model, batcher):
    held(model, batcher, 5, lambda index: ask(batcher, 1.0, rows=3))
    assert model.rows == [1, 6, 6, 3]
    assert len(ask(batcher, 1.0, rows=11)) == 11 and model.rows[-1] == 11


def test_a_lone_request_waits_for_no_company(model, batcher):
    started = time.perf_counter()
    for _ in range(20):
        ask(batcher, 1.0)
    assert time.perf_counter() - started < 1.0 and model.rows == [1] * 20


def test_with_a_timeout_a_request_waits_for_company_until_the_batch_is_full(model):
    batcher = Batcher(model, BatchingOptions(max_batch_size=4, timeout=5.0))
    started = time.perf_counter()
    together(4, lambda index: ask(batcher, 1.0))
    assert time.perf_counter() - started < 4.0 and model.rows == [4]
    batcher.close()
    batcher = Batcher(model, BatchingOptions(max_batch_size=4, timeout=0.1))
    ask(batcher, 1.0)
    assert model.rows == [4, 1]
    batcher.close()


def test_different_shapes_are_not_mixed(model, batcher):
    results = held(model, batcher, 6, lambda index: ask(batcher, 1.0, shape=2 + index % 2))
    assert model.rows == [1, 3, 3]
    assert [result.shape for result in results] == [(1, 2), (1, 3)] * 3


def test_a_request_that_fails_spoils_no_other(model, batcher):
    results = held(model, batcher, 4, lambda index: ask(batcher, -1.0 if index == 2 else float(index)))
    assert isinstance(results[2], ServeError) and results[2].code == "INVALID_ARGUMENT"
    assert [results[index][0, 0] for index in (0, 1, 3)] == [0.0, 2.0, 6.0]


def test_outputs_that_do_not_have_a_row_per_row_are_computed_one_request_at_a_time():
    calls = []

    def positive(signature, arrays):
        calls.append(len(arrays["x"]))
        time.sleep(0.05)
        return {"y": arrays["x"][arrays["x"][:, 0] > 0]}

    batcher = Batcher(positive, BatchingOptions())
    results = together(6, lambda index: ask(batcher, float(index % 2)))
    assert [len(result) for result in results] == [0, 1] * 3
    assert max(calls) > 1  # it was tried
    batcher.close()


def test_a_full_queue_is_refused_as_unavailable(model, batcher):
    results = held(model, batcher, 25, lambda index: ask(batcher, 1.0), waiting=20)
    refused = [result for result in results if isinstance(result, ServeError)]
    assert [(error.code, error.status, error.retry) for error in refused] == [("UNAVAILABLE", 503, True)] * 5
    assert all("queue" in str(error) for error in refused)
    assert len(ask(batcher, 1.0)) == 1  # and it serves on


def test_a_deadline_is_kept_and_the_model_does_not_run_for_nobody(model, batcher):
    model.gate.clear()
    first = threading.Thread(target=ask, args=(batcher, 0.0))
    first.start()
    assert wait_until(lambda: model.rows)
    started = time.perf_counter()
    with pytest.raises(ServeError) as caught:
        ask(batcher, 1.0, deadline=time.monotonic() + 0.1)
    assert caught.value.code == "DEADLINE_EXCEEDED" and 0.05 < time.perf_counter() - started < 2.0
    model.gate.set()
    first.join()
    ask(batcher, 1.0)
    assert model.rows == [1, 1]


def test_closing_answers_what_waits_and_refuses_what_comes(model, batcher):
    model.gate.clear()
    results = []
    asking = threading.Thread(target=lambda: results.extend(together(5, lambda index: ask(batcher, 1.0))))
    asking.start()
    assert wait_until(lambda: sum(model.rows) + batcher._waiting == 5)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.gate.set()
    closing.join()
    asking.join()
    assert [result[0, 0] for result in results] == [2.0] * 5
    with pytest.raises(ServeError, match="unloaded"):
        ask(batcher, 1.0)


def test_many_threads_all_get_their_own_rows(model):
    batcher = Batcher(model, BatchingOptions(max_batch_size=16, threads=2))

    def work(index):
        for step in range(50):
            value = float(index * 100 + step)
            assert (ask(batcher, value, rows=1 + step % 3) == 2 * value).all()
        return True

    assert together(12, work) == [True] * 12
    batcher.close()


@pytest.mark.parametrize(
    "wrong", [{"max_batch_size": 0}, {"max_queue": 0}, {"threads": 0}, {"timeout": -1}], ids=str
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="Received: "):
        BatchingOptions(**wrong)
