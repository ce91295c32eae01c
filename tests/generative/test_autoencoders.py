"""Autoencoders: their parts, what noise and sparsity add, files, and errors."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import kzoo

SIZES = dict(image_shape=(8, 4, 2), filters=(3,), hidden_dims=(5,), latent_dim=3)


def network(**more):
    return kzoo.create_model("autoencoder", **SIZES | more)


def images(n=6):
    return np.random.default_rng(0).uniform(size=(n, 8, 4, 2)).astype("float32")


def test_images_go_through_the_code_and_come_back_between_0_and_1(tmp_path):
    model, x = network(), images()
    codes = model.get_layer("encoder").predict(x, verbose=0)
    rebuilt = model.get_layer("decoder").predict(codes, verbose=0)
    assert codes.shape == (6, 3) and rebuilt.shape == x.shape and 0 <= rebuilt.min() <= rebuilt.max() <= 1
    np.testing.assert_allclose(model.predict(x, verbose=0), rebuilt, atol=1e-6)
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_noise_is_added_in_training_alone():
    model, x = network(noise=0.5), images()
    twice = [ops.convert_to_numpy(model(x, training=mode)) for mode in (False, False, True)]
    np.testing.assert_array_equal(twice[0], twice[1])
    assert np.abs(twice[0] - twice[2]).max() > 1e-4


def test_sparsity_is_the_weight_of_the_codes_mean_absolute_value():
    model, x = network(sparsity=0.1), images()
    codes = ops.convert_to_numpy(model.get_layer("encoder")(x))
    model(x)
    assert codes.min() >= 0 and codes.max() > 0
    assert float(ops.convert_to_numpy(sum(model.losses))) == pytest.approx(
        0.1 * np.abs(codes).mean(), rel=1e-5
    )


def test_it_learns_to_rebuild():
    model, x = network(latent_dim=8), np.repeat(images(2), 16, axis=0)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    losses = model.fit(x, x, batch_size=16, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: network(image_shape=(7, 4, 1)), "multiples of 2.*fewer filters"),
        (lambda: network(image_shape=(None, 4, 1)), "fixed image_shape"),
        (lambda: network(latent_dim=0), "latent_dim=0"),
        (lambda: network(noise=-1.0), "noise=-1.0"),
        (lambda: kzoo.create_model("autoencoder", image_shape=(8, 8, 1), sparse=1), "did you mean sparsity"),
        (lambda: kzoo.create_model("autoencoder"), "no image size of its own"),
    ],
)
def test_wrong_sizes_are_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
