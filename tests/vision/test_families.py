"""Every family: files, half precision, features, errors. The gate compares the engines, gradients included."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from cases.models import sources
from keras import ops
from stepping import forward_of

import kzoo
from kzoo import engine
from kzoo.models import catalog

TINY = {name: arguments for module in sources().values() for name, arguments in module.TINY.items()}
# The others differ from their family's first in arguments alone.
# What Keras writes is the same on every engine: they share the families' files among them.
TURN = engine.ENGINES.index(keras.config.backend())
FIRST = [next(iter(module.TINY)) for module in sources().values()]


def tiny(name, **arguments):
    return kzoo.create_model(name, **{"num_classes": 3, **TINY[name], **arguments})


def outlined(name, **arguments):
    """The same without values."""
    return catalog.skeleton(name, **{"num_classes": 3, **TINY[name], **arguments})


def images(model, count=2, seed=0):
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def stored(path):
    """The arrays of a `.keras` file by their names there."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(
            lambda name, one: found.update({name: one[()]} if isinstance(one, h5py.Dataset) else {})
        )
    return found


def first(outputs):
    return keras.tree.flatten(outputs)[0]


@pytest.mark.parametrize("name", FIRST[TURN :: len(engine.ENGINES)])
def test_a_file_gives_the_model_back(name, tmp_path):
    model = tiny(name)
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    loaded.save(tmp_path / "b.keras")
    first, second = (stored(tmp_path / name) for name in ("a.keras", "b.keras"))
    assert first.keys() == second.keys() and len(first) > 1
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", FIRST)
def test_a_model_computes_in_bfloat16(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny(name)
        (y, *_) = forward_of(model)(ops.convert_to_tensor(images(model)))
    finally:
        keras.config.set_dtype_policy(before)
    assert first(model.outputs).dtype == "bfloat16"
    assert np.isfinite(y.astype("float32")).all()


@pytest.mark.once
@pytest.mark.parametrize("name", FIRST[::4])
def test_layers_of_one_shape_begin_with_different_numbers(name):
    kernels = [
        ops.convert_to_numpy(variable)
        for variable in tiny(name).trainable_variables
        if len(variable.shape) > 1 and np.prod(variable.shape) > 4
    ]
    kernels = [kernel for kernel in kernels if kernel.std() > 0]
    for i, a in enumerate(kernels):
        assert not any(a.shape == b.shape and np.array_equal(a, b) for b in kernels[:i])


@pytest.mark.once
@pytest.mark.parametrize("name", TINY)
def test_without_classes_a_model_gives_features(name):
    model = outlined(name, num_classes=0)
    assert not any(layer.name.startswith("head") for layer in model.layers)
    assert len(first(model.outputs).shape) == 2


@pytest.mark.once
@pytest.mark.parametrize(
    "name", [name for name in TINY if catalog.family_of(name) not in ("lenet", "capsnet")]
)
def test_features_are_maps_by_stage_from_fine_to_coarse(name):
    maps = kzoo.features(outlined(name)).output
    order = sorted(maps, key=lambda stage: (stage != "stem", stage))
    sizes = [maps[stage].shape[1] for stage in order]
    assert sizes == sorted(sizes, reverse=True) and all(len(value.shape) == 4 for value in maps.values())
    assert any(stage.startswith("stage_") for stage in maps)


@pytest.mark.once
@pytest.mark.parametrize("name", TINY)
def test_a_wrong_argument_is_told_with_the_nearest(name):
    with pytest.raises(ValueError, match="did you mean dropout"):
        tiny(name, dropuot=0.1)


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: kzoo.create_model("resnet18", image_shape=(16, 16, 3)), "at least 32 x 32.*smaller stem"),
        (lambda: kzoo.create_model("resnet18", image_shape=(32, 32)), r"\(height, width, channels\)"),
        (lambda: kzoo.create_model("resnet18", image_shape=(32, 32, 3), stem="tiny"), "'large' or 'small'"),
        (lambda: kzoo.create_model("resnet81"), "did you mean resnet18"),
        (lambda: kzoo.create_model("cnn"), "no image size of its own"),
        (
            lambda: kzoo.features(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])),
            "no layers named",
        ),
    ],
)
def test_wrong_images_and_names_are_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
