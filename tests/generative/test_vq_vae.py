"""Autoencoders of discrete codes: codes and back, learning, and errors."""

import keras
import numpy as np
import pytest
from cases import generative

import kzoo
from kzoo.layers import VectorQuantizerEMA
from kzoo.models.generative.vq_vae import codes_of, images_of


def images(n=6):
    return generative.images(n)[1].astype("float32")


def test_codes_are_those_of_the_nearest_vectors_and_lead_to_the_models_images():
    model, x = generative.network("vq_vae"), images()
    codes = codes_of(model, x)
    assert codes.shape == (6, 4, 2) and codes.dtype == "int32"
    vectors = model.get_layer("encoder").predict(x, verbose=0)
    book = np.asarray(model.get_layer("codes").codebook.numpy())
    distances = np.square(vectors[..., None, :] - book).sum(-1)
    np.testing.assert_array_equal(codes, distances.argmin(-1))
    np.testing.assert_allclose(images_of(model, codes), model.predict(x, verbose=0), atol=1e-6)


def test_it_learns_with_codes_as_moving_averages_and_survives_a_file(tmp_path):
    model = generative.network("vq_vae", quantizer=VectorQuantizerEMA)
    x = np.repeat(images(2), 16, axis=0)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    losses = model.fit(x, x, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and float(model.get_layer("codes").perplexity) >= 1
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(codes_of(loaded, x), codes_of(model, x))
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: generative.network("vq_vae", image_shape=(7, 4, 1)), "multiples of 2"),
        (lambda: generative.network("vq_vae", filters=()), "halvings=0"),
        (lambda: images_of(generative.network("vq_vae"), np.zeros((2, 3, 3), "int32")), r"\(n, 4, 2\)"),
        (lambda: images_of(generative.network("vq_vae"), np.full((2, 4, 2), 6)), r"\[0, 6\)"),
        (lambda: kzoo.create_model("vq_vae", image_shape=(8, 8, 1), num_code=3), "did you mean num_codes"),
    ],
)
def test_wrong_sizes_and_codes_are_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
