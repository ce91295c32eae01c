"""What every layer owes: saving and loading, shapes known beforehand, mixed precision, early and clear errors."""

import inspect
import json
import re
import zipfile

import keras
import numpy as np
import pytest
from cases.layers import LAYERS
from computing import computed
from keras import ops

import kzoo
from kzoo import layers


def _inputs(case):
    layer, arrays, *_ = LAYERS[case]()
    return layer, keras.tree.map_structure(
        lambda a: a.astype("float32") if a.dtype.kind == "f" else a, arrays
    )


def _configuration(path):
    """The saved configuration, without the addresses by which Keras marks objects that occur twice."""
    with zipfile.ZipFile(path) as file:
        return json.loads(re.sub(r', "shared_object_id": \d+', "", file.read("config.json").decode()))


@pytest.mark.parametrize("case", LAYERS)
def test_a_model_with_the_layer_is_the_same_after_saving_and_loading(case, tmp_path):
    layer, x = _inputs(case)
    inputs = keras.tree.map_structure(lambda a: keras.Input(a.shape[1:], dtype=str(a.dtype)), x)
    model = keras.Model(inputs, layer(inputs))
    for i, weight in enumerate(model.weights):  # what a loader could not make up
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign(np.random.default_rng(i).uniform(0.1, 0.9, weight.shape))
    expected = model.outputs[0].shape[1:]
    model.save(tmp_path / "first.keras")
    loaded = keras.models.load_model(tmp_path / "first.keras")
    loaded.save(tmp_path / "second.keras")
    assert _configuration(tmp_path / "first.keras") == _configuration(tmp_path / "second.keras")
    assert len(loaded.weights) == len(model.weights)
    for a, b in zip(model.weights, loaded.weights):
        assert a.name == b.name and a.trainable == b.trainable
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    outputs, again = computed(lambda x: (model(x, training=False), loaded(x, training=False)), x)
    shapes = keras.tree.map_structure(np.shape, x)
    assert outputs.shape[1:] == tuple(expected) == tuple(layer.compute_output_shape(shapes))[1:]
    np.testing.assert_array_equal(again, outputs)


@pytest.mark.parametrize("case", [case for case in LAYERS if "," not in case])
def test_in_mixed_precision_values_and_gradients_are_finite_and_weights_stay_float32(case):
    keras.config.set_dtype_policy("mixed_float16")
    layer, x = _inputs(case)
    first, *others = keras.tree.flatten(x)
    first = np.concatenate([first[:1], np.zeros_like(first[1:])])  # norms of zero, too
    layer.build(keras.tree.map_structure(np.shape, x))

    def loss(first):
        inputs = keras.tree.pack_sequence_as(x, [first, *others])
        mode = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}
        outputs = layer(inputs, **mode)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
        return ops.sum(ops.square(ops.cast(outputs, "float32"))) + sum(layer.losses, ops.zeros(()))

    if first.dtype.kind == "f":
        value, gradient = computed(kzoo.value_and_grad(loss), first)
        assert np.isfinite(gradient).all()
    else:  # whole numbers have no gradient
        value = computed(loss, first)
    assert np.isfinite(value)
    assert {"float32"} == {w.dtype for w in layer.weights if keras.backend.is_float_dtype(w.dtype)} | {
        "float32"
    }


Dense, Conv2D = keras.layers.Dense, keras.layers.Conv2D
REFUSED = {  # what is wrong: how to make it, the shape to build it for, what the message must say
    "rate of one": (lambda: layers.DropPath(1.0), None, "rate=1.0"),
    "negative rate": (lambda: layers.DropBlock2D(-0.1), None, "rate=-0.1"),
    "block of nothing": (lambda: layers.DropBlock2D(0.1, 0), None, "block_size=0"),
    "image without a size": (layers.DropBlock2D, (None, None, None, 3), "fixed image size"),
    "rows instead of images": (layers.DropBlock2D, (None, 3), "(None, 3)"),
    "layer without a kernel": (lambda: layers.DropConnect(keras.layers.ReLU()), (None, 3), "weight='kernel'"),
    "two kernels": (
        lambda: layers.WeightNormalization(keras.layers.Bidirectional(keras.layers.GRU(2))), (2, 3, 4), "kernel, ",
    ),
    "activity regularizer inside": (
        lambda: layers.WeightStandardization(Dense(2, activity_regularizer="l2")), None, "activity_regularizer",
    ),
    "not a layer": (lambda: layers.DropConnect("dense"), None, "dense"),
    "axes by name": (lambda: layers.WeightNormalization(Dense(2), axes="last"), None, "axes="),
    "epsilon of zero": (lambda: layers.WeightStandardization(Dense(2), epsilon=0), None, "epsilon=0"),
    "negative divergence": (lambda: layers.VariationalDense(2, kl_weight=-1.0), None, "kl_weight=-1.0"),
    "ratio of zero": (lambda: layers.SqueezeExcite(0), None, "ratio=0"),
    "no spatial axis": (layers.SqueezeExcite, (None, 3), "(None, 3)"),
    "unknown channels": (layers.ECA, (None, 3, None), "(None, 3, None)"),
    "even kernel": (lambda: layers.ECA(4), None, "kernel_size=4"),
    "sequence for CBAM": (layers.CBAM, (None, 5, 3), "(None, 5, 3)"),
    "unknown similarity": (lambda: layers.NonLocal(similarity="cosine"), None, "similarity='cosine'"),
    "no routing": (lambda: layers.Capsules(3, routing=0), None, "routing=0"),
    "unknown number of capsules": (lambda: layers.Capsules(3), (None, None, 4), "must be known"),
    "negative scale": (lambda: layers.GradientReversal(-1.0), None, "scale=-1.0"),
    "layer scale of zero": (lambda: layers.LayerScale(0), None, "value=0"),
    "layer scale of unknown channels": (layers.LayerScale, (None, None), "(None, None)"),
    "bias of unknown features": (layers.Bias, (None, None), "(None, None)"),
    "patches that do not fit": (lambda: layers.PatchEmbedding(4, 3), (None, 8, 8, 3), "(None, 8, 8, 3)"),
    "three patch sizes": (lambda: layers.PatchEmbedding(4, (1, 2, 3)), None, "patch_size=(1, 2, 3)"),
    "more tokens than positions": (lambda: layers.PositionEmbedding(4), (None, 5, 3), "max_length=4"),
    "no frequencies": (lambda: layers.FourierFeatures(0), None, "num_features=0"),
    "no codes": (lambda: layers.VectorQuantizer(0), None, "num_codes=0"),
    "decay of one": (lambda: layers.VectorQuantizerEMA(4, decay=1.0), None, "decay=1.0"),
}  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize("what", REFUSED)
def test_wrong_arguments_are_refused_early_with_what_was_received(what):
    make, shape, message = REFUSED[what]
    with pytest.raises(ValueError) as error:
        made = make()
        assert shape is not None, "the constructor should have refused"
        made.build(shape)
    assert message in str(error.value)
    assert what == "not a layer" or "Received:" in str(error.value)
