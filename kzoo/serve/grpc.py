"""The gRPC interface of TensorFlow Serving: PredictionService and ModelService."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from kzoo.serve import protocol
from kzoo.serve.errors import ServeError, invalid
from kzoo.serve.service import Target


class _Servicer:
    """What both services share: how a request is timed, and an error told."""

    def __init__(self, service, log):
        self._service, self._log = service, log

    @contextmanager
    def _answering(self, context, api=None):
        """Counts a request, if it runs a model, and turns errors into status codes."""
        try:
            if api is None:
                yield {}
            else:
                with self._service.metrics.request(api, "GRPC") as known:
                    yield known
        except Exception as error:
            if not isinstance(error, ServeError):  # a mistake of ours
                error = ServeError("INTERNAL", f"{type(error).__name__}: {error}")
            if error.code in ("INTERNAL", "UNKNOWN", "DATA_LOSS"):
                self._log("request_failed", level="error", code=error.code, message=error.message)
            context.abort(grpc.StatusCode[error.code], error.message)


class PredictionService(_Servicer, protocol.prediction_service_pb2_grpc.PredictionServiceServicer):
    """Runs models."""

    def Predict(self, request, context):
        with self._answering(context, "Predict") as known:
            target = Target.of(request.model_spec)
            with self._service.use(target, known) as version:
                signature = version.signature(target.signature)
                arrays = {name: protocol.from_proto(tensor) for name, tensor in request.inputs.items()}
                outputs = self._service.predict(
                    version, signature, arrays, _deadline(context), list(request.output_filter)
                )
                response = protocol.predict_pb2.PredictResponse(model_spec=target.answered_by(version))
            for name, array in outputs.items():
                response.outputs[name].CopyFrom(protocol.to_proto(array))
            return response

    def Classify(self, request, context):
        with self._answering(context, "Classify") as known:
            target = Target.of(request.model_spec)
            with self._service.use(target, known) as version:
                result = self._service.classify(version, target, request.input, _deadline(context))
                return protocol.classification_pb2.ClassificationResponse(
                    model_spec=target.answered_by(version), result=result
                )

    def Regress(self, request, context):
        with self._answering(context, "Regress") as known:
            target = Target.of(request.model_spec)
            with self._service.use(target, known) as version:
                result = self._service.regress(version, target, request.input, _deadline(context))
                return protocol.regression_pb2.RegressionResponse(
                    model_spec=target.answered_by(version), result=result
                )

    def MultiInference(self, request, context):
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "kzoo serve does not do MultiInference: call Classify and Regress one after the other",
        )

    def GetModelMetadata(self, request, context):
        with self._answering(context):
            return self._service.metadata(Target.of(request.model_spec), list(request.metadata_field))


class ModelService(_Servicer, protocol.model_service_pb2_grpc.ModelServiceServicer):
    """Tells which models there are, and changes that."""

    def GetModelStatus(self, request, context):
        with self._answering(context):
            return self._service.status(Target.of(request.model_spec))

    def HandleReloadConfigRequest(self, request, context):
        response = protocol.model_management_pb2.ReloadConfigResponse()
        try:
            if request.config.WhichOneof("config") is None:
                raise invalid("the configuration is empty. Received: no model_config_list")
            self._service.models.reload(request.config)
        except ServeError as error:  # the call itself succeeds, as in TensorFlow Serving
            response.status.error_code = protocol.error_codes_pb2.Code.Value(error.code)
            response.status.error_message = error.message
        return response


class Gate(grpc.ServerInterceptor):
    """Refuses calls without the token before anything of them is read, and all calls once it is closed.

    Args:
        guard: a `Guard`.
    """

    def __init__(self, guard):
        self._guard = guard
        self._closed = False
        self._stranger = _refusal(
            grpc.StatusCode.UNAUTHENTICATED, "a bearer token is required: authorization: Bearer TOKEN"
        )
        self._late = _refusal(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")

    def close(self):
        """Refuses every call from now on."""
        self._closed = True

    def intercept_service(self, continuation, details):
        if self._closed:
            return self._late
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), None)
        return continuation(details) if self._guard.allows(given) else self._stranger


def _refusal(code, message):
    def refuse(request, context):
        context.abort(code, message)

    return grpc.unary_unary_rpc_method_handler(refuse)


def build(service, gate, max_request_bytes=64 << 20, threads=64, max_waiting=1000, log=None):
    """A `grpc.Server` with both services; ports are added by the caller.

    Args:
        service: a `Service`.
        gate: a `Gate`.
        max_request_bytes: size of a request; more is refused with RESOURCE_EXHAUSTED.
        threads: requests worked on at once.
        max_waiting: requests that may be there at once; more are refused with RESOURCE_EXHAUSTED.
        log: a function of an event's name and of what is known about it.
    """
    log = log or (lambda event, **known: None)
    server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix="kzoo-grpc"),
        interceptors=[gate],
        maximum_concurrent_rpcs=max_waiting,
        options=[
            ("grpc.max_receive_message_length", max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or two servers on one port would share its clients unnoticed
        ],
    )
    protocol.prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(service, log), server
    )
    protocol.model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(service, log), server)
    return server


def _deadline(context):
    """When the client stops waiting, on the clock of `time.monotonic`; `None` if it waits for ever."""
    left = context.time_remaining()
    return None if left is None or left > 1e6 else time.monotonic() + left
