"""What the server does for a request, whichever protocol it came by: Predict, Classify, Regress, metadata, status.

REST and gRPC only translate: requests into these calls, and `ServeError` into their status codes.
"""

from dataclasses import dataclass

import numpy as np

from kzoo.serve import protocol
from kzoo.serve.errors import ServeError, invalid
from kzoo.serve.loading import DEFAULT_SIGNATURE, serialized_examples

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@dataclass(frozen=True)
class Target:
    """What a request is for: TensorFlow Serving's `ModelSpec`.

    Attributes:
        model: a name.
        version: a number, or `None` for the newest.
        label: a label that stands for a version, or `None`.
        signature: a signature's name; empty for the default one.
    """

    model: str
    version: int | None = None
    label: str | None = None
    signature: str = ""

    @classmethod
    def of(cls, spec):
        """The target of a `ModelSpec` message."""
        choice = spec.WhichOneof("version_choice")
        return cls(
            spec.name,
            spec.version.value if choice == "version" else None,
            spec.version_label if choice == "version_label" else None,
            spec.signature_name,
        )

    def answered_by(self, version):
        """The `ModelSpec` of an answer: it names the version and the signature that were used."""
        spec = protocol.model_pb2.ModelSpec(
            name=self.model, signature_name=self.signature or DEFAULT_SIGNATURE
        )
        spec.version.value = version.number
        return spec


class Service:
    """The calls of TensorFlow Serving on a `Models` manager.

    Args:
        models: a `Models`.
        metrics: a `Metrics`.
        refuse_nan: whether inputs with NaN or infinite numbers are refused.
    """

    def __init__(self, models, metrics, refuse_nan=False):
        self.models, self.metrics, self.refuse_nan = models, metrics, refuse_nan

    def use(self, target, known=None):
        """`Models.use` for a target; `known` is the dict of `Metrics.request`."""
        if known is not None and target.model in self.models.names():
            known["model"] = target.model
        return self.models.use(target.model, target.version, target.label)

    def predict(self, version, signature, arrays, deadline=None, only=()):
        """Outputs by name.

        Args:
            version: a `loading.Version` in use.
            signature: one of its signatures.
            arrays: arrays by input name.
            deadline: on the clock of `time.monotonic`, or `None`.
            only: names of the outputs wanted; all of them if empty.

        Raises:
            ServeError: if the request does not fit or cannot be answered.
        """
        if len(set(only)) != len(only):
            raise invalid(f"duplicate output tensor alias. Received: {list(only)}")
        unknown = [name for name in only if name not in signature.outputs]
        if unknown:
            raise invalid(
                f"output tensor alias not found in signature; outputs are {', '.join(signature.outputs)}. "
                f"Received: {', '.join(unknown)}"
            )
        if self.refuse_nan:
            for name, array in arrays.items():
                if array.dtype.kind in "fc" and not np.isfinite(array).all():
                    raise invalid(f"NaN and Infinity are refused by this server. Received: input {name!r}")
        outputs = version.run(signature, arrays, deadline)
        return {name: outputs[name] for name in only} if only else outputs

    def classify(self, version, target, examples, deadline=None):
        """A `ClassificationResult` for an `Input` message."""
        signature, arrays = self._of_examples(version, target, examples, CLASSIFY)
        names = {"classes", "scores"} & set(signature.outputs)
        if not names:
            raise ServeError(
                "FAILED_PRECONDITION",
                f"a classification signature has classes or scores. Received: {', '.join(signature.outputs)}",
            )
        outputs = self.predict(version, signature, arrays, deadline)
        count = len(next(iter(arrays.values())))
        for name in names:
            if outputs[name].ndim != 2 or len(outputs[name]) != count:
                raise invalid(
                    f"Expected {name} of shape [batch_size num_classes]. Received: {list(outputs[name].shape)}"
                )
        result = protocol.classification_pb2.ClassificationResult()
        for row in range(count):
            classes = result.classifications.add().classes
            for column in range(outputs[min(names)].shape[1]):
                one = classes.add()
                if "classes" in names:
                    one.label = outputs["classes"][row, column].decode(errors="replace")
                if "scores" in names:
                    one.score = outputs["scores"][row, column]
        return result

    def regress(self, version, target, examples, deadline=None):
        """A `RegressionResult` for an `Input` message."""
        signature, arrays = self._of_examples(version, target, examples, REGRESS)
        if "outputs" not in signature.outputs:
            raise ServeError(
                "FAILED_PRECONDITION",
                f"a regression signature has outputs. Received: {', '.join(signature.outputs)}",
            )
        values = self.predict(version, signature, arrays, deadline)["outputs"]
        count = len(next(iter(arrays.values())))
        if values.shape not in ((count,), (count, 1)):
            raise invalid(f"Expected outputs of shape [batch_size]. Received: {list(values.shape)}")
        result = protocol.regression_pb2.RegressionResult()
        for value in values.ravel():
            result.regressions.add().value = value
        return result

    def _of_examples(self, version, target, examples, method):
        """The signature that takes examples, and these as its input."""
        name = target.signature or DEFAULT_SIGNATURE
        signature = version.signatures.get(name)
        if signature is None:
            there = [key for key, one in version.signatures.items() if one.method == method]
            raise invalid(
                f"No signature was found with the name: {name}; of {method} there are: "
                f"{', '.join(sorted(there)) or 'none'}. Received: {name!r}"
            )
        if signature.method != method:
            raise invalid(f"Expected signature method_name to be {method}. Received: {signature.method!r}")
        if len(signature.inputs) != 1:
            raise invalid(f"Expected one input Tensor. Received: {', '.join(signature.inputs)}")
        return signature, {next(iter(signature.inputs)): serialized_examples(examples)}

    def metadata(self, target, fields=("signature_def",)):
        """A `GetModelMetadataResponse`: the signatures of a version."""
        if not fields:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field. Received: none")
        unknown = [name for name in fields if name != "signature_def"]
        if unknown:
            raise invalid(f"Metadata field {unknown[0]} is not supported. Received: {list(fields)}")
        response = protocol.get_model_metadata_pb2.GetModelMetadataResponse()
        with self.use(target) as version:
            response.model_spec.name = target.model
            response.model_spec.version.value = version.number
            signatures = protocol.get_model_metadata_pb2.SignatureDefMap()
            for name, definition in version.signature_defs.items():
                signatures.signature_def[name].CopyFrom(definition)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(self, target):
        """A `GetModelStatusResponse`: the versions of a model and how they are."""
        messages = protocol.get_model_status_pb2
        response = messages.GetModelStatusResponse()
        for number, state, code, message in self.models.status(target.model, target.version, target.label):
            one = response.model_version_status.add(version=number)
            one.state = messages.ModelVersionStatus.State.Value(state)
            one.status.error_code = protocol.error_codes_pb2.Code.Value(code)
            one.status.error_message = message
        return response
