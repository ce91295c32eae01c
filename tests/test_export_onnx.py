"""How a TensorFlow graph becomes an ONNX file, in this process; `test_export_formats.py` has what comes of it."""

import keras
import pytest
from exported_models import EIGHT


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="ONNX is converted on TensorFlow")
def test_conversion_to_onnx_does_not_pile_up_weights(tmp_path, monkeypatch):
    """An attribute written twice into one message takes memory twice: 22 GB for a model of 0.5."""
    from tf2onnx.graph import Graph

    from kzoo.export import onnx

    update, written = Graph.update_proto, []

    def spy(graph, *args, **kwargs):
        written.extend(len(node.op.attribute) for node in graph.get_nodes())
        update(graph, *args, **kwargs)

    monkeypatch.setattr(Graph, "update_proto", spy)
    onnx.convert(EIGHT["CNN"](8), tmp_path / "model.onnx")
    assert len(written) > 100 and not any(written)
    assert Graph.update_proto is spy
