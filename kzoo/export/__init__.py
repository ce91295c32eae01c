"""Export to SavedModel, ONNX and TFLite from any engine, each artefact run and compared with the model.

report = kzoo.export.export("runs/digits", "out")
kzoo.export.open_artefact("out/model.onnx").run({"input": images})
"""

from kzoo.export.exporter import export
from kzoo.export.report import Artefact, ExportError, Report
from kzoo.export.runners import Runner, Tensor, open_artefact

__all__ = ["Artefact", "ExportError", "Report", "Runner", "Tensor", "export", "open_artefact"]
