"""The model server: models, REST and gRPC put together, started, and stopped without dropping a request.

    with kzoo.serve.Server("models", rest_port=0, grpc_port=0) as server:
        server.rest_address, server.grpc_address

It is for development and tests; production is TensorFlow Serving, whose protocol it speaks.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from kzoo import engine
from kzoo.serve.auth import Guard
from kzoo.serve.batching import BatchingOptions
from kzoo.serve.logs import log, write_json_lines
from kzoo.serve.rest import Rest, RestOptions, patient_protocol

_LAST_CALLS = 0.1  # seconds that gRPC calls on their way when the server stops have to arrive and be refused


@dataclass(frozen=True)
class TLS:
    """Files for encrypted connections, in PEM.

    Attributes:
        certificate, key: the server's.
        client_ca: the authority that signs clients' certificates; with it clients must have one.
    """

    certificate: str
    key: str
    client_ca: str | None = None


class Server:
    """Serves a directory of SavedModels.

    Args:
        directory: a folder with `NAME/VERSION/saved_model.pb`, or one model's own folder with its versions.
        host: where to listen; the default is reached from this machine only.
        rest_port, grpc_port: 0 takes a free one, `None` leaves that interface out.
        config: a text file with TensorFlow Serving's `ModelServerConfig`.
        poll_seconds: how often to look for new versions.
        batching: a `BatchingOptions`; `None` runs every request by itself.
        rest: a `RestOptions`: limits, some of which hold for gRPC too.
        token: a bearer token that clients must send, or `None`.
        tls: a `TLS`, or `None`.
        refuse_nan: whether inputs with NaN or infinite numbers are refused.
        grace: seconds that requests in flight have to finish when the server stops.
        log_requests: whether every request is logged.

    Raises:
        ValueError: if the directory or the configuration makes no sense.
        OSError: if a port is taken.
        ImportError: if a package of the extra `serve` is missing.
    """

    def __init__(
        self,
        directory=None,
        host="127.0.0.1",
        rest_port=8501,
        grpc_port=8500,
        *,
        config=None,
        poll_seconds=1.0,
        batching=BatchingOptions(),  # noqa: B008 - it is frozen
        rest=RestOptions(),  # noqa: B008
        token=None,
        tls=None,
        refuse_nan=False,
        grace=30.0,
        log_requests=False,
    ):
        if directory is None and config is None:
            raise ValueError("a directory or a config says what to serve. Received: neither")
        if rest_port is None and grpc_port is None:
            raise ValueError("at least one of rest_port and grpc_port is needed. Received: neither")
        self._host, self._rest_port, self._grpc_port = host, rest_port, grpc_port
        self._rest_options, self._tls, self._grace = rest, tls, grace
        self._guard = Guard(token)
        from kzoo.serve.metrics import Metrics
        from kzoo.serve.models import Models
        from kzoo.serve.service import Service

        metrics = Metrics(log if log_requests else None)
        self.models = Models(directory, config, poll_seconds, _loader(batching, metrics.ran), log)
        self._service = Service(self.models, metrics, refuse_nan)
        self._running = False
        self._started = False
        self._listeners = []  # functions that stop an interface, given the seconds that requests may take
        self.rest_address = self.grpc_address = None

    @property
    def ready(self):
        """Whether it takes requests and every model has a version."""
        return self._running and self.models.ready

    def start(self):
        """Loads the models, then opens the ports. Returns itself."""
        for port in {self._rest_port, self._grpc_port} - {None, 0}:
            _bound(self._host, port).close()  # a port that is taken is told before the models are loaded
        self._started = True
        self.models.start()
        try:
            if self._grpc_port is not None:
                self._start_grpc()
            if self._rest_port is not None:
                self._start_rest()
        except BaseException:
            self.stop(grace=0)
            raise
        self._running = True
        log("serving", rest=self.rest_address, grpc=self.grpc_address, models=self.models.names())
        return self

    def stop(self, grace=None):
        """Takes no more requests, finishes those in flight within the grace period, and unloads the models.

        Returns:
            Whether all requests were finished. If not, the models stay loaded, since they are still running.
        """
        grace = self._grace if grace is None else grace
        self._running = False
        if not self._started:
            return True
        self._started = False
        log("stopping", grace=grace)
        # Both interfaces stop at once, or one would still take requests while the other finishes its own.
        threads = [threading.Thread(target=stop, args=(grace,)) for stop in self._listeners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._listeners = []
        left = self.models.in_flight
        if left:
            log("unfinished", level="error", requests=left)
        else:
            self.models.stop()
        log("stopped")
        return not left

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()

    def _start_grpc(self):
        from kzoo.serve import grpc as service

        limits = self._rest_options
        gate = service.Gate(self._guard)
        server = service.build(
            self._service, gate, limits.max_request_bytes, limits.threads, limits.max_waiting, log
        )
        address = f"{_bracketed(self._host)}:{self._grpc_port}"
        try:
            if self._tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, self._grpc_credentials())
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen ({error}). Received: {address}") from error
        server.start()
        self.grpc_address = f"{_bracketed(self._host)}:{port}"

        def stop(grace):
            # Calls that arrive from now on are told to go elsewhere. Left to itself the gRPC server cancels those
            # that come while it stops, and a client cannot tell that from a cancellation of its own.
            gate.close()
            time.sleep(_LAST_CALLS)
            server.stop(grace).wait()

        self._listeners.append(stop)

    def _grpc_credentials(self):
        import grpc

        pair = (Path(self._tls.key).read_bytes(), Path(self._tls.certificate).read_bytes())
        authority = self._tls.client_ca and Path(self._tls.client_ca).read_bytes()
        return grpc.ssl_server_credentials([pair], authority, require_client_auth=bool(authority))

    def _start_rest(self):
        import ssl

        uvicorn = engine.require("uvicorn", "serve")
        rest = Rest(self._service, self._guard, self._rest_options, lambda: self.ready, log)
        listening = _bound(self._host, self._rest_port)
        secure = {}
        if self._tls is not None:
            secure = {"ssl_certfile": self._tls.certificate, "ssl_keyfile": self._tls.key}
            if self._tls.client_ca:
                secure |= {"ssl_ca_certs": self._tls.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        server = uvicorn.Server(
            uvicorn.Config(
                rest.app,
                http=patient_protocol(self._rest_options.read_timeout),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(self._grace) or None,
                **secure,
            )
        )
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), name="kzoo-rest", daemon=True
        )
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise OSError(f"REST cannot listen. Received: {self._host}:{self._rest_port}")
            time.sleep(0.005)
        scheme = "https" if self._tls else "http"
        self.rest_address = f"{scheme}://{_bracketed(self._host)}:{listening.getsockname()[1]}"

        def stop(grace):
            server.should_exit = True
            thread.join(grace)
            if thread.is_alive():
                server.force_exit = True
                thread.join(5.0)
            rest.close()

        self._listeners.append(stop)


def serve(directory=None, host="127.0.0.1", rest_port=8501, grpc_port=8500, **options):
    """Serves until SIGTERM or SIGINT, then finishes the requests in flight; logs lines of JSON to stderr.

    Args: those of `Server`. A second signal ends it at once.
    """
    write_json_lines()
    log("starting", directory=str(directory), host=host)
    server = Server(directory, host, rest_port, grpc_port, **options)
    asked = threading.Event()

    def handle(number, frame):
        if asked.is_set():
            log("aborted", level="error")
            os._exit(128 + number)  # the threads that are busy would not let the interpreter end
        asked.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        engine.require("tensorflow", "serve")
        # What TensorFlow's import leaves behind is never garbage: the collector need not look at it again and
        # again while requests wait. Models come later, so that a retired one is still collected.
        gc.collect()
        gc.freeze()
        if not asked.is_set():
            server.start()
            while not asked.wait(3600.0):
                pass
            if not server.stop():
                os._exit(1)  # what is still running would not let the interpreter end
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _loader(batching, on_run):
    def load(name, number, path):
        from kzoo.serve.loading import Version

        return Version(name, number, path, batching, on_run)

    return load


def _bound(host, port):
    """A socket that is bound, not yet listening."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With the protocol named, asyncio turns off Nagle's algorithm, which costs 40 ms a response.
        bound = socket.socket(family, kind, proto)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(bound.close)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            cleanup.pop_all()
    except OSError as error:
        raise OSError(
            f"cannot listen on {host}:{port} ({error.strerror or error}). Received: {host}:{port}"
        ) from error
    return bound


def _bracketed(host):
    return f"[{host}]" if ":" in host else host
