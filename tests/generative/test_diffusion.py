"""Diffusion: the paper's network, its loss and its loops against NumPy, saving, resuming, precision and bad input."""

import math
import shutil

import keras
import numpy as np
import pytest
from cases.diffusion import denoiser
from keras import ops

import kzoo
from kzoo.learners import Diffusion, LatentSpace
from kzoo.models.catalog import skeleton
from kzoo.ops import diffusion

# One level: JAX compiles each block. The parity gate and the export have two.
SIZES = dict(filters=8, multipliers=(1,), depth=1, attention_levels=(), groups=4, dim=16, patch_size=1)


def network(image_shape=(4, 6, 2), num_classes=3, **more):
    """A small one, whose layers that start at zero have been given numbers."""
    model = kzoo.create_model(
        "diffusion_unet_small", image_shape=image_shape, num_classes=num_classes, **SIZES | more
    )
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        if not np.any(ops.convert_to_numpy(weight)):
            weight.assign(0.1 * rng.normal(size=weight.shape))
    return model


def learner_of(model=None, rate=0.01, **options):
    """On the paper's schedule and target, whose sampling is written out in `by_hand`."""
    options = dict(steps=20, schedule="linear", target="noise") | options
    learner = Diffusion(denoiser() if model is None else model, **options)
    learner.compile(keras.optimizers.Adam(rate))
    return learner


def data(n=8, shape=(4, 6, 2)):
    rng = np.random.default_rng(1)
    x = {
        "images": rng.uniform(size=(n, *shape)).astype("float32"),
        "noise": rng.normal(size=(n, *shape)).astype("float32"),
        "times": rng.integers(0, 20, n).astype("int32"),
    }
    return x, rng.integers(0, 3, n).astype("int32")


def said(model, images, times, labels):
    inputs = {"images": images, "times": times, "labels": labels}
    inputs = {name: np.asarray(a, "float32" if name == "images" else "int32") for name, a in inputs.items()}
    return model.predict(inputs, verbose=0)


@pytest.mark.once
def test_the_papers_network_has_the_papers_parameters():
    model = skeleton("diffusion_unet")
    assert (
        sum(math.prod(v.shape) for v in model.trainable_variables) == 35_746_307
    )  # 35.7 million: appendix B
    assert model.output_shape == (None, 32, 32, 3) and set(model.input) == {"images", "times"}


@pytest.mark.once
def test_a_network_takes_any_size_that_it_can_halve():
    for shape, more in (((3, 5, 2), {}), ((12, 8, 1), dict(patch_size=2, multipliers=(1, 2)))):
        assert network(shape, **more).output_shape == (None, *shape)


@pytest.mark.parametrize(("target", "made"), [("noise", denoiser), ("velocity", network)])
def test_the_loss_is_the_mean_square_of_what_the_network_misses(target, made):
    learner, (x, y) = learner_of(made(), target=target, label_dropout=0.0, rate=0.0), data()
    signal = diffusion.signal_of(diffusion.linear_betas(20))[x["times"]].reshape(-1, 1, 1, 1)
    images = 2 * x["images"] - 1
    wanted = x["noise"]
    if target == "velocity":
        wanted = np.sqrt(signal) * x["noise"] - np.sqrt(1 - signal) * images
    noised = np.sqrt(signal) * images + np.sqrt(1 - signal) * x["noise"]
    squares = (said(learner.model, noised, x["times"], y) - wanted) ** 2
    weights = np.linspace(0, 2, 8).astype("float32")
    weighted = np.mean(squares.mean((1, 2, 3)) * weights)
    assert learner.evaluate(x, y, batch_size=8, verbose=0) == pytest.approx(squares.mean(), rel=1e-4)
    logs = learner.fit(x, y, sample_weight=weights, batch_size=8, shuffle=False, verbose=0).history
    assert logs["loss"][0] == pytest.approx(weighted, rel=1e-4)


def test_the_average_follows_the_weights():
    learner, (x, y) = learner_of(ema_momentum=0.5), data()
    means = [ops.convert_to_numpy(w) for w in learner.model.weights]
    for n in (1, 2):
        learner.train_on_batch(x, y)
        momentum = min(0.5, (1 + n) / (10 + n))
        now = [ops.convert_to_numpy(w) for w in learner.model.weights]
        means = [momentum * m + (1 - momentum) * w for m, w in zip(means, now)]
    for ours, theirs in zip(learner.average.weights, means):
        np.testing.assert_allclose(ops.convert_to_numpy(ours), theirs, rtol=1e-4, atol=1e-6)
    assert not learner.average.trainable_weights


def test_a_share_of_the_labels_is_replaced_by_none():
    learner = learner_of(label_dropout=0.25)
    labels = ops.convert_to_numpy(learner._labels(ops.zeros(2000, "int32"), 2000, 0.25))
    assert set(labels) == {0, 3} and abs(np.mean(labels == 3) - 0.25) < 0.05


def by_hand(learner, noise, labels, steps, guidance, clip=True):
    """DDIM's loop in NumPy, asking the averaged network."""
    times = diffusion.spaced_times(learner.steps, steps)
    signal = diffusion.signal_of(diffusion.SCHEDULES[learner.schedule](learner.steps))
    x = noise.astype("float64")
    for i, t in enumerate(times):
        at = np.full(len(x), t)
        of_class = said(learner.average, x, at, labels)
        of_none = said(learner.average, x, at, np.full(len(x), 3))
        guess = of_none + guidance * (of_class - of_none)
        image = (x - np.sqrt(1 - signal[t]) * guess) / np.sqrt(signal[t])
        image = np.clip(image, -1, 1) if clip else image
        guess = (x - np.sqrt(signal[t]) * image) / np.sqrt(1 - signal[t])
        before = signal[times[i + 1]] if i + 1 < steps else 1.0
        x = np.sqrt(before) * image + np.sqrt(1 - before) * guess
    return (x + 1) / 2


def test_samples_are_what_the_loop_by_hand_gives_guided_or_not():
    learner, labels = learner_of(), np.array([0, 1, 2])
    noise = np.stack([np.random.default_rng([7, i]).standard_normal((4, 6, 2), "float32") for i in range(3)])
    ours = {g: learner.sample(3, labels, steps=4, guidance=g, seed=7, batch_size=2) for g in (0.0, 1.0, 3.0)}
    for guidance, images in ours.items():
        theirs = by_hand(learner, noise, labels, 4, guidance)
        assert images.shape == (3, 4, 6, 2) and images.min() >= 0 and images.max() <= 1
        np.testing.assert_allclose(images, theirs, atol=2e-4)
    np.testing.assert_array_equal(
        ours[0.0], learner.sample(3, steps=4, seed=7, batch_size=2)
    )  # no class in particular
    np.testing.assert_allclose(ours[1.0][:1], learner.sample(1, 0, steps=4, seed=7, batch_size=2), atol=1e-4)


def test_ddpm_is_ddim_with_all_the_noise_and_a_film_ends_in_the_samples():
    learner = learner_of(network())
    options = dict(steps=6, seed=3)
    ddpm = learner.sample(2, 1, sampler="ddpm", **options)
    np.testing.assert_allclose(learner.sample(2, 1, eta=1.0, **options), ddpm, atol=2e-4)
    film = learner.film(2, 1, frames=3, sampler="ddpm", **options)
    np.testing.assert_array_equal(film[-1], ddpm)
    assert film.shape == (3, 2, 4, 6, 2) and np.abs(film[0] - ddpm).max() > 1e-3
    assert np.abs(learner.sample(2, 1, **options) - ddpm).max() > 1e-3  # the noise of the steps


def test_a_saved_learner_goes_on_and_draws_the_same(tmp_path):
    learner, (x, y) = learner_of(), data()
    learner.fit(x["images"], y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    learner.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(again.sample(2, 1, steps=3), learner.sample(2, 1, steps=3))
    losses = [
        one.fit(x["images"], y, batch_size=4, epochs=1, shuffle=False, verbose=0).history["loss"][0]
        for one in (learner, again)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for one, other in zip(learner.weights, again.weights, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=1e-6)


def test_a_training_that_goes_on_after_its_first_epoch_ends_in_the_same_weights(tmp_path):
    class Keep(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                shutil.copytree(tmp_path / "whole", tmp_path / "first")

    x, y = data()
    batches = kzoo.data.Batches(x["images"], y, 4, seed=0)
    whole, resumed = learner_of(), learner_of()
    for learner, folder, more in ((whole, "whole", [Keep()]), (resumed, "first", [])):
        resume = kzoo.callbacks.Resume(tmp_path / folder, data=batches)
        learner.fit(batches, epochs=2, callbacks=[resume, *more], verbose=0)
        assert len(resume.history["loss"]) == 2
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=1e-6)


def test_half_precision_trains_and_draws():
    keras.config.set_dtype_policy("mixed_float16")
    learner, (x, y) = learner_of(), data()
    losses = learner.fit(x, y, batch_size=8, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert np.isfinite(learner.sample(1, 0, steps=2, guidance=2.0)).all()


def test_it_learns_to_draw_the_class_wanted():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256).astype("int32")
    images = np.full((256, 4, 4, 1), 0.1, "float32")
    for image, label in zip(images, labels):
        image[:, 2 * label : 2 * label + 2] = 0.9  # the left or the right half
    images = images + rng.normal(0, 0.02, images.shape).astype("float32")
    model = kzoo.create_model("diffusion_unet_small", image_shape=(4, 4, 1), num_classes=2, **SIZES)
    learner = Diffusion(model, ema_momentum=0.95)
    learner.compile(keras.optimizers.Adam(0.01))
    losses = learner.fit(np.clip(images, 0, 1), labels, batch_size=64, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    wanted = np.arange(16) % 2
    drawn = learner.sample(16, wanted, steps=10, guidance=2.0)
    halves = drawn.reshape(16, 4, 2, 2).mean((1, 3))  # (n, left and right)
    assert np.mean(halves.argmax(1) == wanted) > 0.85 and np.abs(halves[:, 0] - halves[:, 1]).mean() > 0.4


def autoencoder():
    """Images of 4 x 4 to eight numbers; linear, and back."""
    inputs, codes = keras.Input((4, 4, 1)), keras.Input((8,))
    code = keras.layers.Dense(8, name="mean")(keras.layers.Flatten()(inputs))
    encoder = keras.Model(inputs, {"mean": code, "log_variance": code}, name="encoder")
    image = keras.layers.Reshape((4, 4, 1), name="logits")(keras.layers.Dense(16)(codes))
    decoder = keras.Model(codes, image, name="decoder")
    return keras.Model(inputs, decoder(encoder(inputs)["mean"]))


def test_latent_diffusion_works_on_codes_and_leaves_the_autoencoder_alone(tmp_path):
    images = np.random.default_rng(0).uniform(size=(16, 4, 4, 1)).astype("float32")
    model = autoencoder()
    space = LatentSpace.of(model, images, code_shape=(2, 2, 2))
    codes = ops.convert_to_numpy(space.encode(ops.convert_to_tensor(images)))
    assert codes.shape == (16, 2, 2, 2) and codes.std() == pytest.approx(1, rel=1e-3)
    logits = model.predict(images, verbose=0)
    np.testing.assert_allclose(space.decode(codes), 1 / (1 + np.exp(-logits)), rtol=1e-4)
    learner = learner_of(denoiser((2, 2, 2), 0), latents=space, target="velocity")
    before = [ops.convert_to_numpy(w) for w in space.weights]
    learner.fit(images, batch_size=8, verbose=0)
    for weight, old in zip(space.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
    drawn = learner.sample(2, steps=3)
    assert drawn.shape == (2, 4, 4, 1) and drawn.min() > 0 and drawn.max() < 1
    learner.save(tmp_path / "latent.keras")
    again = keras.models.load_model(tmp_path / "latent.keras")
    np.testing.assert_allclose(again.sample(2, steps=3), drawn, atol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: network((5, 6, 1), patch_size=2), "image_shape=(5, 6, 1)"),
        (lambda: network((None, 6, 1)), "image_shape=(None, 6, 1)"),
        (lambda: network(groups=3), "groups=3"),
        (lambda: network(attention_levels=(2,)), "attention_levels=(2,)"),
        (lambda: network(num_classes=-1), "num_classes=-1"),
        (lambda: kzoo.layers.TimeEmbedding(5), "dim=5"),
        (lambda: Diffusion(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])), "times"),
        (lambda: learner_of(schedule="square"), "schedule='square'"),
        (lambda: learner_of(target="image"), "target='image'"),
        (lambda: learner_of(label_dropout=1.0), "label_dropout=1.0"),
        (lambda: learner_of().fit(data()[0], verbose=0), "labels=None"),
        (lambda: learner_of().fit(np.full((2, 4, 6, 2), 255.0), np.zeros(2, "int32")), "between 0 and 1"),
        (lambda: learner_of().sample(2, sampler="euler"), "sampler='euler'"),
        (lambda: learner_of().sample(2, steps=21), "count=21"),
        (lambda: learner_of().sample(2, labels=[1, 4]), "labels=[1, 4]"),
        (lambda: learner_of().sample(2, labels=[1, 2, 0]), "labels=[1, 2, 0]"),
        (lambda: learner_of(denoiser(num_classes=0)).sample(2, labels=1), "no classes"),
        (lambda: learner_of().sample(2, eta=2.0), "eta=2.0"),
        (lambda: learner_of().film(2, frames=9, steps=8), "frames=9"),
        (lambda: LatentSpace.of(autoencoder(), np.zeros((2, 4, 4, 1)), (2, 2, 3)), "code_shape=(2, 2, 3)"),
    ],
)
def test_bad_input_is_refused_with_what_was_received(wrong, message):
    with pytest.raises(ValueError) as error:
        wrong()
    assert message in str(error.value)
