"""OpenVINO's intermediate representation, a folder of `model.xml` and `model.bin`, by way of a SavedModel.

From ONNX it would not read recurrent loops.
"""

import tempfile
from pathlib import Path

from kzoo.export import savedmodel
from kzoo.export.runners import OPENVINO_FILE
from kzoo.export.vendors import load_openvino


def convert(model, path, shapes=None):
    """Writes the OpenVINO folder `path`, weights in float32."""
    openvino = load_openvino()
    with tempfile.TemporaryDirectory() as folder:
        savedmodel.convert(model, Path(folder, "savedmodel"), shapes)
        converted = openvino.convert_model(str(Path(folder, "savedmodel")))
        path.mkdir()
        openvino.save_model(converted, str(path / OPENVINO_FILE), compress_to_fp16=False)
