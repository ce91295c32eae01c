"""The catalog and its families: sizes, shapes, files, errors."""

import json

import keras
import numpy as np
import pytest

import kzoo

PLAIN = kzoo.list_models(family="mlp") + kzoo.list_models(family="cnn")


@pytest.mark.parametrize("name", PLAIN)
def test_models_save_load_and_save_the_same(name, tmp_path):
    model = kzoo.create_model(name, image_shape=(10, 9, 2), num_classes=3)
    assert model.output_shape == (None, 3) and model.name == name
    x = np.random.default_rng(0).normal(size=(4, 10, 9, 2)).astype("float32")
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    features = kzoo.create_model(name, image_shape=(10, 9, 2), num_classes=0)
    assert "head" not in [layer.name for layer in features.layers]


@pytest.mark.once
def test_parameter_counts_follow_from_the_sizes():
    count = {n: kzoo.create_model(n, image_shape=(28, 28, 1), num_classes=10).count_params() for n in PLAIN}
    assert count["mlp"] == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    convolutions = 9 * 32 + 9 * 32 * 64 + 4 * (32 + 64)
    assert count["cnn"] == convolutions + 7 * 7 * 64 * 128 + 128 + 1290
    assert count["cnn"] == count["cnn_strided"] == count["cnn_average"]
    assert count["cnn_5x5"] - count["cnn"] == 16 * 32 + 16 * 32 * 64


@pytest.mark.once
def test_names_are_listed_by_pattern_and_family():
    assert kzoo.list_models("mlp*") == kzoo.list_models(family="mlp") == ["mlp", "mlp_small"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: kzoo.create_model("cnm", image_shape=(8, 8, 1), num_classes=2), "did you mean cnn"),
        (lambda: kzoo.create_model("cnn", image_shape=(8, 8, 1), num_classes=2, widht=2), "argument of cnn"),
        (lambda: kzoo.create_model("cnn", image_shape=(None, 8, 1), num_classes=2), "fixed image size"),
        (lambda: kzoo.create_model("mlp", image_shape=(None, 8, 1), num_classes=2), "fixed image size"),
        (
            lambda: kzoo.create_model("cnn", image_shape=(8, 8, 1), num_classes=2, downsample="x"),
            "downsample",
        ),
        (lambda: kzoo.list_models(family="resnets"), "no family"),
    ],
)
def test_wrong_names_and_shapes_are_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
