"""How a client speaks gRPC."""

from pathlib import Path

import grpc

from kzoo.serve import protocol
from kzoo.serve.client import Tensor, VersionStatus
from kzoo.serve.errors import ServeError
from kzoo.serve.policy import parse_config

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default a channel waits a second, then two, and up to two minutes to come back to a server that restarts.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
]


class GrpcTransport:
    """A channel to one server; shared by threads."""

    def __init__(self, host, port, token, tls, ca, certificate):
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if tls:
            chain, key = (None, None) if certificate is None else (Path(f).read_bytes() for f in certificate)
            roots = None if ca is None else Path(ca).read_bytes()
            credentials = grpc.ssl_channel_credentials(roots, key, chain)
            self._channel = grpc.secure_channel(address, credentials, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        self._credentials = [("authorization", f"Bearer {token}")] if token else None
        self._predictions = protocol.prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = protocol.model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, target, signature, arrays, known, timeout):
        """Arrays by output name."""
        request = protocol.predict_pb2.PredictRequest(model_spec=_spec(target, signature))
        for name, array in arrays.items():
            request.inputs[name].CopyFrom(protocol.to_proto(array))
        response = self._call(self._predictions.Predict, request, timeout)
        return {name: protocol.from_proto(tensor) for name, tensor in sorted(response.outputs.items())}

    def metadata(self, target, timeout):
        request = protocol.get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_spec(target), metadata_field=["signature_def"]
        )
        response = self._call(self._predictions.GetModelMetadata, request, timeout)
        signatures = protocol.get_model_metadata_pb2.SignatureDefMap()
        if not response.metadata["signature_def"].Unpack(signatures):
            raise ServeError("INTERNAL", "the metadata has no signatures. Received: another message")
        return {
            name: {
                "method": definition.method_name,
                "inputs": {key: _tensor(info) for key, info in sorted(definition.inputs.items())},
                "outputs": {key: _tensor(info) for key, info in sorted(definition.outputs.items())},
            }
            for name, definition in sorted(signatures.signature_def.items())
        }

    def status(self, target, timeout):
        request = protocol.get_model_status_pb2.GetModelStatusRequest(model_spec=_spec(target))
        response = self._call(self._models.GetModelStatus, request, timeout)
        state = protocol.get_model_status_pb2.ModelVersionStatus.State
        return [
            VersionStatus(
                one.version,
                state.Name(one.state),
                protocol.error_codes_pb2.Code.Name(one.status.error_code),
                one.status.error_message,
            )
            for one in response.model_version_status
        ]

    def reload(self, config, timeout):
        config = parse_config(config) if isinstance(config, str) else config
        request = protocol.model_management_pb2.ReloadConfigRequest(config=config)
        status = self._call(self._models.HandleReloadConfigRequest, request, timeout).status
        if status.error_code:
            raise ServeError(protocol.error_codes_pb2.Code.Name(status.error_code), status.error_message)

    def close(self):
        self._channel.close()

    def _call(self, method, request, timeout):
        try:
            return method(request, timeout=timeout, metadata=self._credentials)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or "no details"
            if code == "CANCELLED":  # not by us: a server that stops ends its calls so
                code, details = "UNAVAILABLE", f"the server cancelled the call ({details})"
            # A gRPC server in Python that has too much to do says so by the code of a message that is too large.
            busy = code == "UNAVAILABLE" or "Concurrent RPC limit" in details
            raise ServeError(code, details, retry=busy) from error


def _spec(target, signature=None):
    model, version, label = target
    spec = protocol.model_pb2.ModelSpec(name=model, signature_name=signature or "")
    if version is not None:
        spec.version.value = int(version)
    elif label is not None:
        spec.version_label = label
    return spec


def _tensor(info):
    """A `Tensor` of a `TensorInfo`."""
    sizes = [dim.size for dim in info.tensor_shape.dim]
    return Tensor(
        protocol.dtype_of(info.dtype),
        None if info.tensor_shape.unknown_rank else tuple(None if size < 0 else size for size in sizes),
    )
