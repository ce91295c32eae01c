"""Folding batch normalisation changes a model's operators, not what it computes."""

import keras
import numpy as np
import pytest
from keras import layers

from kzoo.export import export
from kzoo.export.folding import fold_batch_norm

IMAGE, SEQUENCE = (8, 8, 4), (8, 4)
FOLDED = {
    "Conv1D": (SEQUENCE, lambda: layers.Conv1D(6, 3)),
    "Conv2D": (IMAGE, lambda: layers.Conv2D(6, 3, use_bias=False)),
    "Conv2D grouped": (IMAGE, lambda: layers.Conv2D(6, 3, groups=2)),
    "Conv2DTranspose": (IMAGE, lambda: layers.Conv2DTranspose(6, 3, strides=2)),
    "DepthwiseConv2D": (IMAGE, lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "SeparableConv2D": (IMAGE, lambda: layers.SeparableConv2D(6, 3, use_bias=False)),
    "Dense": (SEQUENCE, lambda: layers.Dense(5)),
}


def random_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.2, 1.2, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def norms(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


def same(model, folded):
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype("float32")
    ours, theirs = folded.predict(x, verbose=0), model.predict(x, verbose=0)
    np.testing.assert_allclose(ours / np.abs(theirs).max(), theirs / np.abs(theirs).max(), atol=2e-6)


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_folded_layer_computes_the_same(name, options):
    shape, make = FOLDED[name]
    inputs = keras.Input(shape)
    model = random_weights(keras.Model(inputs, layers.BatchNormalization(**options)(make()(inputs))))
    folded = fold_batch_norm(model)
    assert not norms(folded) and len(norms(model)) == 1
    same(model, folded)


def test_what_cannot_be_folded_stays():
    x = inputs = keras.Input(IMAGE)
    x = layers.BatchNormalization(name="first")(x)
    activated = layers.BatchNormalization(name="after_activation")(layers.Conv2D(4, 3, activation="relu")(x))
    twice = layers.Conv2D(4, 3)(x)
    outputs = layers.Add()([activated, twice, layers.BatchNormalization(name="read_twice")(twice)])
    shared = layers.Dense(4, name="shared")
    outputs = layers.BatchNormalization(name="of_shared")(shared(shared(outputs)))
    model = random_weights(keras.Model(inputs, outputs))
    folded = fold_batch_norm(model)
    assert {norm.name for norm in norms(folded)} == {"first", "after_activation", "read_twice", "of_shared"}
    same(model, folded)


def test_residual_sequential_and_nested_models_are_folded(tmp_path):
    block = keras.Sequential(
        [keras.Input(IMAGE), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()]
    )
    x = inputs = keras.Input(IMAGE)
    x = layers.Add()([layers.ReLU()(block(x)), x])
    x = layers.BatchNormalization()(layers.Conv2D(5, 1)(x))
    model = random_weights(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    folded = fold_batch_norm(model)
    assert len(norms(model)) == 2 and not norms(folded)
    same(model, folded)
    folded.save(tmp_path / "folded.keras")
    same(model, keras.saving.load_model(tmp_path / "folded.keras"))


def test_a_dict_of_inputs_keeps_its_keys():
    inputs = {"a": keras.Input(SEQUENCE), "b": keras.Input(SEQUENCE)}
    x = layers.BatchNormalization()(layers.Dense(3)(layers.Add()([inputs["a"], inputs["b"]])))
    model = random_weights(keras.Model(inputs, {"out": x}))
    folded = fold_batch_norm(model)
    values = {key: np.ones((2, *SEQUENCE), "float32") for key in inputs}
    expected = model.predict(values, verbose=0)["out"]
    np.testing.assert_allclose(folded.predict(values, verbose=0)["out"], expected, rtol=1e-5, atol=1e-5)


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="only built functional and sequential"):
        fold_batch_norm(Own())


@pytest.mark.once
def test_an_export_folds_and_is_compared_with_the_model_as_it_was(tmp_path):
    x = inputs = keras.Input(IMAGE)
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(x))
    model = random_weights(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    held = {}
    for fold in (False, True):
        report = export(model, tmp_path / str(fold), formats=["savedmodel"], fold=fold)
        assert report.artefacts[0].difference <= 1e-5
        held[fold] = b"Rsqrt" in (tmp_path / str(fold) / "savedmodel/saved_model.pb").read_bytes()
    assert held == {False: True, True: False}
