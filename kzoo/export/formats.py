"""The formats that a model is exported to, as data.

The module named by `module` holds `convert(model, path, shapes, **options)`, which runs in a worker process.
"""

import sys
from dataclasses import dataclass, field
from types import MappingProxyType

TOLERANCE, QUALITY, NONE = "tolerance", "quality", "none"


@dataclass(frozen=True)
class Attempt:
    """What one try at a conversion fixes of the dimensions that a model leaves free.

    Attributes:
        batch: the batch size to convert for; `None` leaves it free.
        lengths: whether lengths, heights and widths stay free too; else they are those of the first comparison.
        static: converts for the shape that the caller chose, and for nothing if none was chosen.
        flex: lets TFLite take operators of TensorFlow, if the caller allows it.
    """

    batch: int | None = None
    lengths: bool = True
    static: bool = False
    flex: bool = False


FREE, CHOSEN = Attempt(), Attempt(static=True)
SERVED = (FREE, CHOSEN)
TRACED = (CHOSEN, FREE, Attempt(lengths=False), Attempt(1), Attempt(1, lengths=False))
LITE = (
    *(CHOSEN, FREE, Attempt(1)),
    *(Attempt(static=True, flex=True), Attempt(flex=True), Attempt(1, flex=True)),
)


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        file: the artefact's name in the output directory.
        tolerance: the largest difference allowed, as a share of the model's largest output.
        packages: the Python packages that converting and running need.
        extra: the extra of kzoo that brings them.
        module: the module of `kzoo.export` that converts; `None` is the format's own name.
        options: what it is called with besides the model, the path and the shapes.
        needs: what it is called with of the job: `sizes`, a full shape by input to trace with, or `examples`.
        engines: the engines to convert on, best first; each has a worker process of its own.
        attempts: what to fix, best first. The first attempt that passes is kept.
        proof: `TOLERANCE`, `QUALITY` (see `quality.py`), or `NONE` where nothing on this machine can run it.
        alone: whether converting may take its process down, which then does nothing else.
        advice: what to do if it did.
    """

    file: str
    tolerance: float
    packages: tuple[str, ...]
    extra: str = "export"
    module: str | None = None
    options: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))
    needs: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("tensorflow",)
    attempts: tuple[Attempt, ...] = SERVED
    proof: str = TOLERANCE
    alone: bool = False
    advice: str = ""

    @property
    def prefers_chosen(self):
        """Whether the shape that the caller chose is the one to convert for, not just the last resort."""
        return self.attempts[0].static

    @property
    def may_fix_length(self):
        """Whether an artefact may take a single length where the model takes any."""
        return not all(attempt.lengths for attempt in self.attempts)


def _quantised(precision, file, tolerance, **others):
    packages, options = ("tensorflow", "ai_edge_litert"), MappingProxyType({"precision": precision})
    settings = {"module": "tflite", "attempts": LITE, "proof": QUALITY, **others}
    return Format(file, tolerance, packages, options=options, **settings)


INT8_ADVICE = (
    "TensorFlow's calibrator crashed, as it does on recurrent loops: export to tflite_dynamic_int8 or "
    "tflite_float16, or build the recurrent layers with unroll=True and a fixed length"
)

FORMATS = {
    "savedmodel": Format("savedmodel", 1e-5, ("tensorflow",)),
    "onnx": Format("model.onnx", 1e-5, ("tensorflow", "tf2onnx", "onnx", "onnxruntime")),
    "tflite": Format("model.tflite", 1e-4, ("tensorflow", "ai_edge_litert"), attempts=LITE),
    "tflite_float16": _quantised("float16", "model.float16.tflite", 1e-2),
    "tflite_dynamic_int8": _quantised("dynamic_int8", "model.dynamic_int8.tflite", 5e-2),
    "tflite_int8": _quantised(
        "int8", "model.int8.tflite", 2e-1, needs=("examples",), alone=True, advice=INT8_ADVICE
    ),
    "pt2": Format(
        "model.pt2", 1e-5, ("torch",), "torch", needs=("sizes",), engines=("torch",), attempts=TRACED
    ),
    "torchscript": Format(
        "model.torchscript.pt",
        1e-5,
        ("torch",),
        "torch",
        needs=("sizes",),
        engines=("torch",),
        attempts=TRACED,
    ),
    "coreml": Format(
        *("model.mlpackage", 1e-4, ("tensorflow", "coremltools"), "coreml"),
        needs=("sizes",),
        engines=("tensorflow", "torch"),  # recurrent layers convert from PyTorch only
        attempts=(CHOSEN, Attempt(1), Attempt(1, lengths=False)),
        proof=TOLERANCE if sys.platform == "darwin" else NONE,
    ),
    "openvino": Format("model.openvino", 1e-5, ("tensorflow", "openvino"), "openvino"),
}
DEFAULT = ("savedmodel", "onnx", "tflite")
