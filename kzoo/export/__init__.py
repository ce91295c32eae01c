"""Export to SavedModel, ONNX, TFLite and more from any engine, each artefact run and compared with the model.

report = kzoo.export.export("runs/digits", "out")
kzoo.export.open_artefact("out/model.onnx").run({"input": images})
kzoo.export.publish("runs/digits", "served", name="digits")     # served/digits/1, for TensorFlow Serving
"""

from kzoo.export.check import verify_artefact
from kzoo.export.exporter import export
from kzoo.export.process import keep_workers
from kzoo.export.publisher import publish
from kzoo.export.report import Artefact, ExportError, Report
from kzoo.export.runners import Runner, Tensor, open_artefact
from kzoo.export.speed import benchmark

__all__ = [
    "Artefact",
    "ExportError",
    "Report",
    "Runner",
    "Tensor",
    "benchmark",
    "export",
    "fold_batch_norm",
    "keep_workers",
    "open_artefact",
    "publish",
    "verify_artefact",
]


def __getattr__(name):
    if (
        name == "fold_batch_norm"
    ):  # imports Keras, which the `kzoo` command does only once it knows the engine
        from kzoo.export.folding import fold_batch_norm

        return fold_batch_norm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
