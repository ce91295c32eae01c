"""The formats that a model is exported to, as data: one line each, and one module of the same name each.

The module `kzoo.export.<format>` holds `convert(model, path, batch)`, which runs in the worker.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        file: the artefact's name in the output directory.
        tolerance: the largest difference allowed, as a share of the model's largest output.
        packages: the Python packages that converting and running need.
        batches: the batch sizes to convert for, best first; `None` is any. The first that passes is kept.
    """

    file: str
    tolerance: float
    packages: tuple[str, ...]
    batches: tuple[int | None, ...] = (None,)


FORMATS = {
    "savedmodel": Format("savedmodel", 1e-5, ("tensorflow",)),
    "onnx": Format("model.onnx", 1e-5, ("tensorflow", "tf2onnx", "onnx", "onnxruntime")),
    "tflite": Format("model.tflite", 1e-4, ("tensorflow", "ai_edge_litert"), batches=(None, 1)),
}
