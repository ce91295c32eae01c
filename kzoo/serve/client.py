"""A client of TensorFlow Serving, and of `kzoo serve`, over REST or gRPC, without TensorFlow.

client = kzoo.serve.Client("127.0.0.1", model="fashion")
client.predict(images)                       # array in, array out
client.predict({"numbers": a, "tokens": b})  # several inputs: a dict
client.classify(["shirt.png", "boot.png"])   # files, by the signature classify_images
"""

import random
import re
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np

from kzoo.serve.errors import ServeError

PORTS = {"rest": 8501, "grpc": 8500}

Classification = namedtuple("Classification", ["labels", "scores"])
Tensor = namedtuple("Tensor", ["dtype", "shape"])
VersionStatus = namedtuple("VersionStatus", ["version", "state", "code", "message"])


class Client:
    """Asks a model server.

    It may be shared by threads. Every call has one deadline over all of its attempts. A call is tried again, after
    a pause that doubles and varies, when the server cannot be reached, drops the connection or says that it is
    overloaded or going away; never after any other error.

    Args:
        address: a host, `host:port`, or a URL (REST; `https` means encrypted).
        model: the model to ask for, unless a call names another.
        protocol: `"rest"` or `"grpc"`.
        port: if the address has none; by default 8501 for REST and 8500 for gRPC.
        token: a bearer token.
        timeout: seconds that a call may take, unless it says otherwise.
        retries: how often a call is tried again.
        backoff: seconds before the first further attempt.
        max_backoff: the longest pause, in seconds.
        max_batch: rows sent at once; larger inputs are sent in parts and the outputs joined.
        tls: whether to encrypt; `ca` or `certificate` imply it.
        ca: a file with the authorities to trust; by default those of the system.
        certificate: `(certificate file, key file)` of this client.

    Raises:
        ValueError: if the address or the protocol makes no sense.
        ImportError: if a package of the extra `serve` is missing.
    """

    def __init__(
        self,
        address="127.0.0.1",
        model=None,
        *,
        protocol="rest",
        port=None,
        token=None,
        timeout=10.0,
        retries=5,
        backoff=0.1,
        max_backoff=2.0,
        max_batch=None,
        tls=False,
        ca=None,
        certificate=None,
    ):
        if protocol not in PORTS:
            raise ValueError(f"protocol must be 'rest' or 'grpc'. Received: protocol={protocol!r}")
        if max_batch is not None and max_batch < 1:
            raise ValueError(f"max_batch must be at least 1. Received: max_batch={max_batch}")
        if token is not None and not re.fullmatch("[!-~]+", token):
            raise ValueError(f"a token is of printable ASCII characters. Received: {len(token)} characters")
        host, port, encrypted = split_address(address, port or PORTS[protocol])
        tls = bool(tls or encrypted or ca or certificate)
        if protocol == "rest":
            from kzoo.serve.rest_client import RestTransport as Transport
        else:
            from kzoo.serve.grpc_client import GrpcTransport as Transport
        self._transport = Transport(host, port, token, tls, ca, certificate)
        self.model, self.protocol = model, protocol
        self._timeout, self._retries, self._max_batch = timeout, retries, max_batch
        self._backoff, self._max_backoff = backoff, max_backoff
        self._signatures = {}  # what a model's signatures look like, by model, version and label
        self._lock = threading.Lock()

    def predict(self, inputs, signature=None, *, model=None, version=None, label=None, timeout=None):
        """Runs a model.

        Args:
            inputs: an array, or arrays by input name, batch first.
            signature: which entry point; the default one if not given.
            model, version, label: what to ask; by default this client's model and its newest version.
            timeout: seconds.

        Returns:
            An array if the model has one output, else arrays by output name.

        Raises:
            ServeError: if the server refuses or fails, or cannot be reached in time.
            ValueError: if the inputs make no sense.
        """
        target = self._target(model, version, label)
        deadline = self._deadline(timeout)
        known = self._signature(target, signature, deadline)
        arrays = _named(inputs, known)
        parts = [
            self._try(
                lambda left, part=part: self._transport.predict(target, signature, part, known, left),
                deadline,
            )
            for part in self._split(arrays)
        ]
        outputs = {name: _joined([part[name] for part in parts], name) for name in parts[0]}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def classify(
        self, images, signature="classify_images", *, model=None, version=None, label=None, timeout=None
    ):
        """What a classifier says of encoded pictures.

        Args:
            images: files, or bytes of files; a single one or several.
            signature: an entry point that takes encoded pictures and gives `labels` and `scores`.
            model, version, label, timeout: as for `predict`.

        Returns:
            A `Classification` for each: `labels`, the likeliest first, and their `scores`.
        """
        single = isinstance(images, str | bytes | Path)
        pictures = [
            one if isinstance(one, bytes) else Path(one).read_bytes()
            for one in ([images] if single else images)
        ]
        if not pictures:
            raise ValueError(f"there is no picture to classify. Received: {images!r}")
        batch = np.empty(len(pictures), dtype=object)
        batch[:] = pictures
        outputs = self.predict(batch, signature, model=model, version=version, label=label, timeout=timeout)
        if not isinstance(outputs, dict) or {"labels", "scores"} - set(outputs):
            raise ValueError(f"the signature must give labels and scores. Received: signature={signature!r}")
        return [
            Classification(tuple(_text(name) for name in labels), tuple(float(score) for score in scores))
            for labels, scores in zip(outputs["labels"], outputs["scores"])
        ]

    def metadata(self, *, model=None, version=None, label=None, timeout=None):
        """What a model takes and gives.

        Returns:
            By signature: `method`, and `inputs` and `outputs` with a `Tensor` (dtype, shape) per name. The dtype
            of strings is `object`; a size of `None` is free.
        """
        target = self._target(model, version, label)
        return self._try(lambda left: self._transport.metadata(target, left), self._deadline(timeout))

    def status(self, *, model=None, version=None, label=None, timeout=None):
        """The versions of a model, the newest first, as `VersionStatus`."""
        target = self._target(model, version, label)
        return self._try(lambda left: self._transport.status(target, left), self._deadline(timeout))

    def reload(self, config, timeout=60.0):
        """Gives the server a new configuration (gRPC only): text, or a `ModelServerConfig` message."""
        self._try(lambda left: self._transport.reload(config, left), self._deadline(timeout))

    def close(self):
        """Closes the connections."""
        self._transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _target(self, model, version, label):
        model = model or self.model
        if not model:
            raise ValueError("a model must be named, by the client or the call. Received: model=None")
        if version is not None and label is not None:
            raise ValueError(
                f"either version or label may be given. Received: version={version}, label={label!r}"
            )
        return model, version, label

    def _deadline(self, timeout):
        return time.monotonic() + (self._timeout if timeout is None else timeout)

    def _signature(self, target, signature, deadline):
        """What the signature looks like: it is asked for once."""
        name = signature or "serving_default"
        with self._lock:
            known = self._signatures.get(target, {})
        if name not in known:
            known = self._try(lambda left: self._transport.metadata(target, left), deadline)
            with self._lock:
                self._signatures[target] = known
        if name not in known:
            there = ", ".join(sorted(known))
            raise ServeError(
                "FAILED_PRECONDITION",
                f"there is no signature {name!r}; there are: {there}. Received: {name!r}",
            )
        return known[name]

    def _split(self, arrays):
        """The arrays in parts of at most `max_batch` rows."""
        sizes = {len(array) if array.ndim else None for array in arrays.values()}
        rows = max((size for size in sizes if size is not None), default=0)
        if self._max_batch is None or rows <= self._max_batch:
            return [arrays]
        if len(sizes) > 1:
            raise ValueError(f"inputs that are sent in parts must have one batch size. Received: {sizes}")
        return [
            {name: array[start : start + self._max_batch] for name, array in arrays.items()}
            for start in range(0, rows, self._max_batch)
        ]

    def _try(self, call, deadline):
        """The result of a call that is given the seconds left; tried again where that may help."""
        attempt = 0
        while True:
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise ServeError(
                        "DEADLINE_EXCEEDED", "the deadline passed before the server had answered"
                    )
                return call(left)
            except ServeError as error:
                # Full jitter: clients that were cut off together do not come back together.
                pause = min(self._max_backoff, self._backoff * 2.0 ** min(attempt, 30)) * random.uniform(
                    0.5, 1.0
                )
                out_of_time = time.monotonic() + pause >= deadline
                if not error.retry or attempt >= self._retries or out_of_time:
                    raise
            time.sleep(pause)
            attempt += 1


def split_address(address, port):
    """Host, port and whether `https` is asked for, of a host, `host:port`, `[ipv6]:port` or a URL.

    Raises:
        ValueError: if it is none of these.
    """
    scheme, separator, rest = address.rpartition("://")
    if separator and scheme not in ("http", "https"):
        raise ValueError(f"the address must be a host, host:port or an http(s) URL. Received: {address!r}")
    rest = rest.rstrip("/")
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        given = tail.removeprefix(":")
    elif rest.count(":") == 1:
        host, _, given = rest.partition(":")
    else:
        host, given = rest, ""
    if not host or "/" in host or (given and not given.isdecimal()):
        raise ValueError(f"the address must be a host, host:port or an http(s) URL. Received: {address!r}")
    return host, int(given or port), scheme == "https"


def _named(inputs, signature):
    """Arrays by name, in the dtypes that the signature wants if that loses nothing."""
    wanted = signature["inputs"]
    if not isinstance(inputs, dict):
        if len(wanted) != 1:
            raise ValueError(
                f"the model has several inputs, give a dict: {', '.join(wanted)}. Received: one array"
            )
        inputs = dict.fromkeys(wanted, inputs)
    arrays = {}
    for name, value in inputs.items():
        array = np.asarray(value)
        if name in wanted and array.dtype.kind not in "SUO" and array.dtype != wanted[name].dtype:
            if not _convertible(array, wanted[name].dtype):
                raise ValueError(f"input {name!r} must be {wanted[name].dtype}. Received: {array.dtype}")
            array = array.astype(wanted[name].dtype)
        arrays[name] = array
    return arrays


def _convertible(array, dtype):
    """Floats go to floats and integers to integers that hold their values, or to floats; nothing else."""
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)
    return array.dtype.kind in "iufV" and dtype.kind in "fV"


def _joined(parts, name):
    if len(parts) == 1:
        return parts[0]
    if any(part.ndim == 0 for part in parts):
        raise ValueError(f"an output without a batch cannot be joined from parts. Received: output {name!r}")
    return np.concatenate(parts)


def _text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
