"""How a client speaks REST."""

import contextlib
import ssl
from urllib.parse import quote

import numpy as np

from kzoo import engine
from kzoo.serve import json_tensors, protocol
from kzoo.serve.client import Tensor, VersionStatus
from kzoo.serve.errors import ServeError, code_of_status


class RestTransport:
    """Connections to one server; shared by threads.

    A timeout holds for each step of a call: connecting, sending, reading.
    """

    def __init__(self, host, port, token, tls, ca, certificate):
        self._httpx = engine.require("httpx", "serve")
        verify = True
        if tls:
            verify = ssl.create_default_context(cafile=None if ca is None else str(ca))
            if certificate is not None:
                verify.load_cert_chain(*map(str, certificate))
        name = f"[{host}]" if ":" in host else host
        self._client = self._httpx.Client(
            base_url=f"{'https' if tls else 'http'}://{name}:{port}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=verify,
            trust_env=False,  # a proxy of the environment is for the world outside
            limits=self._httpx.Limits(max_connections=256, max_keepalive_connections=256),
        )

    def predict(self, target, signature, arrays, known, timeout):
        """Arrays by output name."""
        content = {"inputs": {name: _encoded(array) for name, array in arrays.items()}}
        if signature:
            content["signature_name"] = signature
        body = json_tensors.dumps(content, json_tensors.is_finite(arrays.values()))
        answer = self._call("POST", f"{_path(target)}:predict", timeout, body)
        if "outputs" not in answer:
            raise ServeError("INTERNAL", f"the answer has no outputs. Received: {', '.join(answer)}")
        outputs, wanted = answer["outputs"], known["outputs"]
        if len(wanted) == 1:
            outputs = {next(iter(wanted)): outputs}
        return {name: _decoded(value, wanted.get(name), name) for name, value in outputs.items()}

    def metadata(self, target, timeout):
        answer = self._call("GET", f"{_path(target)}/metadata", timeout)
        return {
            name: {
                "method": definition["method_name"],
                "inputs": {key: _tensor(info) for key, info in sorted(definition.get("inputs", {}).items())},
                "outputs": {
                    key: _tensor(info) for key, info in sorted(definition.get("outputs", {}).items())
                },
            }
            for name, definition in sorted(answer["metadata"]["signature_def"]["signature_def"].items())
        }

    def status(self, target, timeout):
        answer = self._call("GET", _path(target), timeout)
        return [
            VersionStatus(
                int(one["version"]),
                one["state"],
                one.get("status", {}).get("error_code", "OK"),
                one.get("status", {}).get("error_message", ""),
            )
            for one in answer.get("model_version_status", [])
        ]

    def reload(self, config, timeout):
        raise ValueError(
            "a configuration is given over gRPC: Client(..., protocol='grpc'). Received: protocol='rest'"
        )

    def close(self):
        self._client.close()

    def _call(self, method, path, timeout, body=None):
        """The JSON object that the server answers with."""
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            response = self._client.request(method, path, content=body, headers=headers, timeout=timeout)
        except self._httpx.ConnectTimeout as error:
            raise ServeError("UNAVAILABLE", f"the server cannot be reached ({error})") from error
        except self._httpx.TimeoutException as error:
            raise ServeError("DEADLINE_EXCEEDED", f"no answer within {timeout:.3g} s") from error
        except self._httpx.TransportError as error:  # refused, reset, closed in the middle
            raise ServeError(
                "UNAVAILABLE", f"the connection failed ({error or type(error).__name__})"
            ) from error
        content = None
        with contextlib.suppress(ServeError):
            content = json_tensors.loads(response.content)
        if response.status_code == 200 and content is not None:
            return content
        told = content.get("error") if content else None
        message = told if isinstance(told, str) else f"HTTP status {response.status_code}"
        if response.status_code == 200:
            message = f"the answer is not JSON. Received: {response.content[:80]!r}"
            raise ServeError("INTERNAL", message)
        code, busy = code_of_status(response.status_code), response.status_code in (429, 502, 503)
        raise ServeError(code, message, response.status_code, retry=busy)


def _path(target):
    model, version, label = target
    path = f"/v1/models/{_quoted(model)}"
    if version is not None:
        return f"{path}/versions/{int(version)}"
    return path if label is None else f"{path}/labels/{_quoted(label)}"


def _quoted(name):
    # Dots need no quoting, but a name of dots alone would be taken for a way up the path.
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def _encoded(array):
    """An array for a request: strings go as base64, since they may be anything."""
    if array.dtype.kind in "SUO":
        strings = np.array([v.encode() if isinstance(v, str) else v for v in array.ravel()], dtype=object)
        return json_tensors.encode(strings.reshape(array.shape), "_bytes")
    return json_tensors.encode(array)


def _tensor(info):
    """A `Tensor` of a `TensorInfo` in JSON."""
    shape = info.get("tensor_shape", {})
    sizes = tuple(int(dim["size"]) for dim in shape.get("dim", []))
    return Tensor(
        protocol.dtype_of(protocol.types_pb2.DataType.Value(info["dtype"])),
        None if shape.get("unknown_rank") else tuple(None if size < 0 else size for size in sizes),
    )


def _decoded(value, tensor, name):
    if tensor is None:
        return np.asarray(value)
    if tensor.dtype.kind == "O":
        return json_tensors.decode_strings(value, name)
    array = np.asarray(value, dtype=tensor.dtype)
    return array if array.size else json_tensors.empty(array.shape, tensor.shape, tensor.dtype)
