"""What the server counts, under TensorFlow Serving's names and in Prometheus's text format.

`:tensorflow:serving:request_count{model_name, status}` and its kin; times are in microseconds, as there.
"""

import contextlib
import threading
import time

from kzoo import engine
from kzoo.serve.errors import ServeError

PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MICROSECONDS = [10 * 1.8**power for power in range(33)]  # TensorFlow Serving's buckets: up to 20 minutes
_ROWS = [2.0**power for power in range(15)]


class Metrics:
    """Counters of one server, in a registry of their own.

    Args:
        log: called with `"request"` and what is known of it, for every request; or `None`.
    """

    def __init__(self, log=None):
        self._log = log
        self._client = client = engine.require("prometheus_client", "serve")
        self._registry = client.CollectorRegistry()
        counter, histogram, gauge = (
            self._maker(getattr(client, n)) for n in ("Counter", "Histogram", "Gauge")
        )
        self._requests = counter("request_count", "The total number of requests.", ("model_name", "status"))
        self._latency = histogram(
            "request_latency",
            "Distribution of wall time (in microseconds) for requests.",
            ("model_name", "API", "entrypoint"),
            buckets=_MICROSECONDS,
        )
        self._runtime = histogram(
            "runtime_latency",
            "Distribution of wall time (in microseconds) for the TensorFlow runtime.",
            ("model_name", "API", "runtime"),
            buckets=_MICROSECONDS,
        )
        self._batches = histogram(
            "batching_session:processed_batch_size",
            "Rows of each run of a model.",
            ("model_name",),
            buckets=_ROWS,
        )
        self._examples = counter(
            "request_example_count_total", "The total number of rows that models ran on.", ("model_name",)
        )
        self._in_flight = gauge("requests_in_flight", "Requests being answered.", ())
        self._versions = gauge(
            "model_version_available", "1 for each version that takes requests.", ("model_name", "version")
        )
        self._shown = set()
        self._lock = threading.Lock()

    def _maker(self, kind):
        def make(name, text, labels, **options):
            return kind(f":tensorflow:serving:{name}", text, labels, registry=self._registry, **options)

        return make

    @contextlib.contextmanager
    def request(self, api, entrypoint):
        """Times and counts a request. The block is given a dict, in which it puts the `model` once it is known."""
        known = {"model": ""}
        started = time.perf_counter()
        status = "OK"
        self._in_flight.inc()
        try:
            yield known
        except ServeError as error:
            status = error.code
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            self._in_flight.dec()
            seconds = time.perf_counter() - started
            # Only names of models that exist become labels: anybody can make up others.
            self._requests.labels(known["model"], status).inc()
            if status == "OK":
                self._latency.labels(known["model"], api, entrypoint).observe(seconds * 1e6)
            if self._log is not None:
                took = round(1000 * seconds, 3)
                self._log("request", model=known["model"], api=api, by=entrypoint, status=status, ms=took)

    def ran(self, model, rows, seconds):
        """Counts one run of a model."""
        self._runtime.labels(model, "Predict", "TF2").observe(seconds * 1e6)
        self._batches.labels(model).observe(rows)
        self._examples.labels(model).inc(rows)

    def page(self, models):
        """The page that Prometheus reads, as bytes; `models` is the manager of the versions there are."""
        with self._lock:
            now = {(name, str(number)) for name in models.names() for number in models.available(name)}
            for gone in self._shown - now:
                self._versions.remove(*gone)
            for labels in now:
                self._versions.labels(*labels).set(1)
            self._shown = now
            text = self._client.generate_latest(self._registry).decode()
        # The client library ends the names of counters in _total, TensorFlow Serving does not.
        return text.replace(":request_count_total", ":request_count").encode()
