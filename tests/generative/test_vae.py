"""Variational autoencoders: the bound by hand, drawing, files, half precision, and errors."""

import keras
import numpy as np
import pytest
from cases import generative
from keras import ops

from kzoo.learners import VariationalAutoencoder


def learner_of(num_classes=0, optimizer=None, **arguments):
    learner = VariationalAutoencoder(generative.network("vae", num_classes=num_classes), seed=1, **arguments)
    learner.compile(optimizer or keras.optimizers.SGD(0.0))
    return learner


def batch(n=8):
    rng, x, y = generative.images(n)
    return x.astype("float32"), y, rng.normal(size=(n, 3)).astype("float32")


def by_hand(learner, x, noise, labels=None):
    """Reconstruction and divergence of each image, in float64."""

    def given(tensor, name):
        return tensor if labels is None else {name: tensor, "labels": labels}

    normal = {k: ops.convert_to_numpy(v) for k, v in learner.encoder(given(x, "images")).items()}
    mean, log_variance = normal["mean"].astype("float64"), normal["log_variance"].astype("float64")
    code = (mean + np.exp(log_variance / 2) * noise).astype("float32")
    logits = ops.convert_to_numpy(learner.decoder(given(code, "latent"))).astype("float64")
    p = 1 / (1 + np.exp(-logits))
    if learner.likelihood == "bernoulli":
        likelihood = x * np.log(p) + (1 - x) * np.log(1 - p)
    else:
        deviation = np.exp(float(learner.log_deviation))
        likelihood = -0.5 * ((x - p) / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi))
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(-1)
    return -likelihood.sum((1, 2, 3)), divergence


@pytest.mark.parametrize(("likelihood", "num_classes"), [("bernoulli", 5), ("gaussian", 0)])
def test_the_logs_are_the_bound_and_its_parts_in_nats(likelihood, num_classes):
    learner = learner_of(num_classes, beta=3.0, likelihood=likelihood)
    x, y, noise = batch()
    given = ({"images": x, "noise": noise}, y) if num_classes else ({"images": x, "noise": noise},)
    found = learner.evaluate(*given, batch_size=8, verbose=0, return_dict=True)
    reconstruction, divergence = (
        part.mean() for part in by_hand(learner, x, noise, y if num_classes else None)
    )
    wanted = {"reconstruction": reconstruction, "kl": divergence, "elbo": -reconstruction - divergence}
    wanted["loss"] = reconstruction + 3 * divergence
    assert found == pytest.approx(wanted, rel=1e-4)
    trained = learner.fit(*given, batch_size=8, verbose=0).history
    assert {name: values[0] for name, values in trained.items()} == pytest.approx(wanted, rel=1e-4)


def test_images_are_drawn_by_seed_and_class_and_survive_a_file(tmp_path):
    learner = learner_of(5, keras.optimizers.Adam(0.01))
    x, y, _ = batch(32)
    history = learner.fit(x, y, batch_size=8, epochs=3, verbose=0, validation_data=(x, y)).history
    assert history["loss"][-1] < history["loss"][0] and set(history) >= {"val_elbo", "val_kl"}
    drawn = learner.sample(4, labels=[0, 1, 2, 3])
    assert drawn.shape == (4, *generative.SHAPE) and drawn.dtype == "float32"
    assert 0 <= drawn.min() < drawn.max() <= 1
    np.testing.assert_allclose(learner.sample(2, labels=[0, 1]), drawn[:2], atol=1e-6)
    assert np.abs(learner.sample(4, labels=[0, 1, 2, 3], seed=1) - drawn).max() > 1e-6
    assert np.abs(learner.sample(4, labels=3)[:3] - drawn[:3]).max() > 1e-6
    learner.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded.sample(4, labels=[0, 1, 2, 3]), drawn)
    np.testing.assert_array_equal(loaded.reconstruct(x, y), learner.reconstruct(x, y))
    loaded.save(tmp_path / "b.keras")
    again = keras.models.load_model(tmp_path / "b.keras")
    for a, b in zip(loaded.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_deviation_of_gray_values_is_learned():
    learner = learner_of(likelihood="gaussian", optimizer=keras.optimizers.Adam(0.05))
    before = float(learner.log_deviation)
    learner.fit(np.full((16, *generative.SHAPE), 0.5, "float32"), batch_size=8, epochs=4, verbose=0)
    assert float(learner.log_deviation) < before  # the images are all alike


def test_it_trains_in_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    learner = learner_of(optimizer=keras.optimizers.Adam(0.01))
    x, _, _ = batch(32)
    losses = learner.fit(x, batch_size=8, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and learner.encoder.compute_dtype == "bfloat16"
    assert learner.sample(2).dtype == "float32" and np.isfinite(learner.sample(2)).all()


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x, y: learner_of().fit(255 * x, verbose=0), "between 0 and 1.*Received: values from"),
        (lambda x, y: learner_of().fit(x[:, :4], verbose=0), r"images must be \(b, 8, 4, 2\)"),
        (lambda x, y: learner_of(5).fit(x, verbose=0), "images and their labels"),
        (lambda x, y: learner_of(5).fit(x, y + 9, verbose=0), r"whole numbers in \[0, 5\)"),
        (lambda x, y: learner_of(5).sample(3), "needs labels="),
        (lambda x, y: learner_of(5).sample(3, labels=[1, 2]), "one label, or 3"),
        (lambda x, y: learner_of(5).sample(3, labels=5), r"\[0, 5\)"),
        (lambda x, y: learner_of().sample(3, labels=1), "knows no classes"),
        (lambda x, y: learner_of().sample(0), "count=0"),
        (lambda x, y: learner_of(beta=-1.0), "beta=-1.0"),
        (lambda x, y: learner_of(likelihood="normal"), "bernoulli, gaussian"),
        (lambda x, y: VariationalAutoencoder(generative.network("dcgan")), "layers encoder and decoder"),
    ],
)
def test_what_is_wrong_is_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(*batch()[:2])
