"""The REST interface of TensorFlow Serving on FastAPI, with health, metrics and the page beside it.

The event loop only moves bytes. Decoding, running and encoding a request happen in a thread of a pool, so that a
large array holds nobody else up.
"""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote

from kzoo import engine
from kzoo.serve import json_tensors, page
from kzoo.serve.auth import Guard
from kzoo.serve.errors import ServeError, invalid
from kzoo.serve.metrics import CONTENT_TYPE
from kzoo.serve.metrics import PATH as METRICS_PATH
from kzoo.serve.service import Target

_MODEL = r"(?i:/v1/models)/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_RUN = re.compile(_MODEL + r":(?P<method>classify|regress|predict)")
_LOOK = re.compile(_MODEL + r"(?P<metadata>/metadata)?")
_DRAIN = (
    256 << 20
)  # bytes of a body too large that are read and thrown away, so that its sender sees the answer


@dataclass(frozen=True)
class RestOptions:
    """Limits of the REST interface.

    Attributes:
        max_request_bytes: size of a request's body; more is refused with 413.
        timeout: seconds that the answer to a request may take (504).
        read_timeout: seconds that a client may take to send a request's headers, and then its body (408).
        threads: requests worked on at once.
        max_waiting: requests that may be there at once; more are refused with 503.
    """

    max_request_bytes: int = 64 << 20
    timeout: float = 30.0
    read_timeout: float = 60.0
    threads: int = 64
    max_waiting: int = 1000


class Rest:
    """The application: `app` is what uvicorn runs.

    Args:
        service: a `Service`.
        guard: a `Guard`.
        options: a `RestOptions`.
        ready: a function that says whether the server takes requests.
        log: a function of an event's name and of what is known about it.
    """

    def __init__(self, service, guard=None, options=None, ready=lambda: True, log=None):
        fastapi = engine.require("fastapi", "serve")
        self._responses = engine.require("fastapi.responses", "serve")
        self._service, self._guard = service, guard or Guard()
        self._options, self._ready = options or RestOptions(), ready
        self._log = log or (lambda event, **known: None)
        self._pool = ThreadPoolExecutor(self._options.threads, thread_name_prefix="kzoo-rest")
        self._waiting = 0
        # Its own pages about the interface would load scripts from elsewhere, so they are off.
        self.app = fastapi.FastAPI(title="kzoo serve", docs_url=None, redoc_url=None, openapi_url=None)
        everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        self.app.add_route("/v1/{rest:path}", self._serve, methods=everything)
        self.app.add_route("/healthz", self._health, methods=["GET"])
        self.app.add_route("/readyz", self._readiness, methods=["GET"])
        self.app.add_route(METRICS_PATH, self._metrics, methods=["GET"])
        self.app.add_route("/kzoo/models", self._list, methods=["GET"])
        self.app.add_route("/kzoo/models/{name}/samples/{file}", self._sample, methods=["GET"])
        self.app.add_route("/", self._page, methods=["GET"])

    def close(self):
        """Lets the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, request):
        """Everything below /v1/: the answer, or the error as TensorFlow Serving words it."""
        try:
            self._admit(request)
            body = await self._body(request)
            return await self._work(self._answer, request.method, _path(request), body)
        except ServeError as error:
            return self._refusal(error)
        except Exception as error:  # a mistake of ours must not look like a broken connection
            return self._refusal(ServeError("INTERNAL", f"{type(error).__name__}: {error}"))

    async def _work(self, function, *arguments):
        """Runs a function in a thread."""
        if self._waiting >= self._options.max_waiting:
            raise ServeError("UNAVAILABLE", f"too many requests. Received: {self._waiting} at once")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._waiting -= 1

    def _admit(self, request):
        if not self._guard.allows(request.headers.get("authorization")):
            raise ServeError("UNAUTHENTICATED", "a bearer token is required: Authorization: Bearer TOKEN")

    async def _body(self, request):
        """The body; read to its end, or refused, within the time and size that are allowed."""
        limit = self._options.max_request_bytes
        declared = request.headers.get("content-length", "0")
        size, chunks = 0, []
        too_large = ServeError("RESOURCE_EXHAUSTED", f"a request may have {limit} bytes", status=413)
        if declared.isdecimal() and int(declared) > limit + _DRAIN:
            raise too_large
        try:
            async with asyncio.timeout(self._options.read_timeout):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        chunks = []
                        if size > limit + _DRAIN:
                            break
                    else:
                        chunks.append(chunk)
        except TimeoutError:
            message = (
                f"the request did not arrive within {self._options.read_timeout:g} s. Received: {size} bytes"
            )
            raise ServeError("DEADLINE_EXCEEDED", message, status=408) from None
        if size > limit:
            raise too_large
        return b"".join(chunks)

    def _answer(self, method, path, body):
        """The response to one request; in a thread of the pool."""
        found = (
            _RUN.fullmatch(path) if method == "POST" else _LOOK.fullmatch(path) if method == "GET" else None
        )
        if found is None:
            raise invalid(f"Malformed request: {method} {path[:200]}")
        parts = found.groupdict()
        version, label = parts["version"], parts["label"]
        if version is not None and int(version) >= 2**63:
            raise invalid(f"Failed to convert version: {version[:40]} to numeric")
        target = Target(
            unquote(parts["name"]),
            None if version is None else int(version),
            None if label is None else unquote(label),
        )
        if method == "GET":
            return self._look(target, parts["metadata"])
        deadline = time.monotonic() + self._options.timeout
        return self._json(getattr(self, f"_{parts['method'].lower()}")(target, body, deadline))

    def _predict(self, target, body, deadline):
        with self._service.metrics.request("Predict", "REST") as known:
            content, target = self._content(target, body)
            with self._service.use(target, known) as version:
                signature = version.signature(target.signature)
                arrays, kind = json_tensors.decode_predict(content, signature)
                outputs = self._service.predict(version, signature, arrays, deadline)
            return json_tensors.encode_predict(outputs, kind)

    def _classify(self, target, body, deadline):
        with self._service.metrics.request("Classify", "REST") as known:
            content, target = self._content(target, body)
            with self._service.use(target, known) as version:
                given = json_tensors.examples(content)
                result = self._service.classify(version, target, given, deadline)
            rows = [[[one.label, one.score] for one in row.classes] for row in result.classifications]
            return json_tensors.dumps({"results": rows}, finite=False)

    def _regress(self, target, body, deadline):
        with self._service.metrics.request("Regress", "REST") as known:
            content, target = self._content(target, body)
            with self._service.use(target, known) as version:
                given = json_tensors.examples(content)
                result = self._service.regress(version, target, given, deadline)
            return json_tensors.dumps({"results": [one.value for one in result.regressions]}, finite=False)

    def _content(self, target, body):
        """The JSON object, and the target with the signature that it names."""
        content = json_tensors.loads(body, allow_nan=not self._service.refuse_nan)
        signature = content.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid(f"'signature_name' key must be a string value. Received: {signature!r:.40}")
        return content, Target(target.model, target.version, target.label, signature)

    def _look(self, target, metadata):
        """Status or metadata of a model."""
        from google.protobuf import json_format

        def as_dict(message):
            return json_format.MessageToDict(
                message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )

        if not metadata:
            return self._json(json_tensors.dumps(as_dict(self._service.status(target))))
        content = as_dict(self._service.metadata(target))
        content["metadata"]["signature_def"].pop("@type", None)
        return self._json(json_tensors.dumps(content))

    async def _health(self, request):
        return self._json(b'{"status":"alive"}')

    async def _readiness(self, request):
        if self._ready():
            return self._json(b'{"status":"ready"}')
        return self._json(b'{"status":"not ready"}', 503)

    async def _metrics(self, request):
        try:
            self._admit(request)
            text = await self._work(self._service.metrics.page, self._service.models)
        except ServeError as error:
            return self._refusal(error)
        return self._responses.Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def _list(self, request):
        try:
            self._admit(request)
            return self._json(json_tensors.dumps(page.models_of(self._service.models)))
        except ServeError as error:
            return self._refusal(error)

    async def _sample(self, request):
        try:
            self._admit(request)
            name, file = request.path_params["name"], request.path_params["file"]
            with self._service.use(Target(name)) as version:
                if file not in version.samples:
                    raise ServeError("NOT_FOUND", f"{name} has no such sample. Received: {file!r:.80}")
                return self._responses.Response(version.samples[file], media_type="image/png")
        except ServeError as error:
            return self._refusal(error)

    async def _page(self, request):
        return self._responses.HTMLResponse(page.html(), headers=page.HEADERS)

    def _json(self, content, status=200, headers=None):
        return self._responses.Response(content, status, headers, media_type="application/json")

    def _refusal(self, error):
        if error.status >= 500 and error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED"):
            self._log("request_failed", level="error", code=error.code, message=error.message)
        headers = {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if error.status in (408, 413):  # what is left of the body must not be taken for the next request
            headers["Connection"] = "close"
        return self._json(json_tensors.dumps({"error": error.message}), error.status, headers)


def _path(request):
    """The path as it was sent, not yet unquoted: a slash in a model's name is no slash of the path."""
    return request.scope["raw_path"].decode("ascii", errors="replace")


def patient_protocol(read_timeout):
    """uvicorn's HTTP/1.1 protocol, which closes a connection whose request line and headers take too long.

    uvicorn itself waits for ever for a client that sends a byte now and then.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class PatientProtocol(H11Protocol):
        _timer = None

        def connection_made(self, transport):
            super().connection_made(transport)
            self._watch()

        def data_received(self, data):
            super().data_received(data)
            self._watch()

        def connection_lost(self, error):
            self._unwatch()
            super().connection_lost(error)

        def _watch(self):
            if self.cycle is not None and not self.cycle.response_complete:
                self._unwatch()  # the headers are there; for the body the application has a time of its own
            elif self._timer is None:
                self._timer = self.loop.call_later(read_timeout, self._give_up)

        def _unwatch(self):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self):
            self._timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return PatientProtocol
