"""GANs: the penalty by hand, whose turn it is, the averaged generator, files, resuming, half precision, and errors."""

import keras
import numpy as np
import pytest
from cases import generative
from keras import layers, ops

import kzoo
from kzoo import losses
from kzoo.callbacks import Resume
from kzoo.learners import AdversarialNetworks

PENALISED = dict(critic_norm=layers.RMSNormalization, num_classes=0)


def learner_of(sizes=None, rate=1e-3, **training):
    """A learner of the small networks, without classes unless `sizes` says otherwise."""
    network = generative.network("dcgan", **({"num_classes": 0} if sizes is None else sizes))
    learner = AdversarialNetworks(network, seed=1, **training)
    learner.compile(optimizers={name: keras.optimizers.Adam(rate) for name in ("critic", "generator")})
    return learner


def images(n=16):
    _, x, y = generative.images(n)
    return x.astype("float32"), y


def dense_pair():
    """A generator of two linear pixels and a critic `v · tanh(W x)`."""
    noise, pixels = keras.Input((2,), name="noise"), keras.Input((2, 1, 1), name="images")
    made = layers.Reshape((2, 1, 1))(layers.Dense(2, "sigmoid")(noise))
    generator = keras.Model(noise, made, name="generator")
    hidden = layers.Dense(3, "tanh", use_bias=False)(layers.Flatten()(pixels))
    judged = layers.Reshape(())(layers.Dense(1, use_bias=False)(hidden))
    critic = keras.Model(pixels, judged, name="critic")
    start = keras.Input((2,), name="noise")
    return keras.Model(start, critic(generator(start)), name="pair")


def test_losses_and_penalty_are_those_computed_by_hand():
    learner = AdversarialNetworks(dense_pair(), losses.WassersteinGAN(), penalty=10.0)
    rates = {name: keras.optimizers.SGD(0.0) for name in ("critic", "generator")}
    learner.compile(optimizers=rates)
    rng = np.random.default_rng(0)
    x, noise, mixing = rng.uniform(size=(6, 2, 1, 1)), rng.normal(size=(6, 2, 2)), rng.uniform(size=6)
    given = {"images": x, "noise": noise, "mixing": mixing}
    given = {name: array.astype("float32") for name, array in given.items()}
    logs = learner.fit(given, batch_size=6, verbose=0).history

    w, v = (kernel.astype("float64") for kernel in learner.critic.get_weights())
    fake = [
        ops.convert_to_numpy(learner.generator(given["noise"][:, i])).astype("float64").reshape(6, 2)
        for i in (0, 1)
    ]
    real = x.reshape(6, 2)

    def critic(points):
        return np.tanh(points @ w) @ v[:, 0]

    between = mixing[:, None] * real + (1 - mixing[:, None]) * fake[0]
    slopes = ((1 - np.tanh(between @ w) ** 2) * v[:, 0]) @ w.T
    penalty = np.mean((np.linalg.norm(slopes, axis=1) - 1) ** 2)
    assert penalty > 1e-3
    wanted = {
        "critic_loss": critic(fake[0]).mean() - critic(real).mean() + 10 * penalty,
        "gradient_penalty": penalty,
        "generator_loss": -critic(fake[1]).mean(),
    }
    assert {name: values[0] for name, values in logs.items()} == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_the_critic_takes_its_steps_on_shares_of_the_batch_and_each_its_own_weights():
    learner = learner_of(PENALISED, loss=losses.WassersteinGAN(), penalty=10.0, critic_steps=3)
    before = [learner.generator.get_weights(), learner.critic.get_weights()]
    x, _ = images(16)
    logs = learner.fit(x, batch_size=8, epochs=1, verbose=0).history
    assert set(logs) == {"critic_loss", "gradient_penalty", "generator_loss"}
    steps = {name: int(learner.optimizers[name].iterations) for name in learner.optimizers}
    assert steps == {"critic": 6, "generator": 2}
    for old, network in zip(before, (learner.generator, learner.critic)):
        changed = [not np.array_equal(a, b) for a, b in zip(old, network.get_weights())]
        # The critic's last bias cancels out of this loss.
        assert sum(changed) >= len(changed) - 1


def test_samples_come_from_the_averaged_generator():
    learner = learner_of(average=0.5)
    start = learner.generator.get_weights()
    x, _ = images(8)
    learner.fit(x, batch_size=8, verbose=0)
    now, mean = learner.generator.get_weights(), learner.averaged.get_weights()
    # After one step the decay is (1 + 1) / (10 + 1).
    for a, b, c in zip(start, now, mean, strict=True):
        np.testing.assert_allclose(c, 2 / 11 * a + 9 / 11 * b, rtol=1e-5, atol=1e-7)
    assert not any(any(v is w for w in learner.averaged.variables) for v in learner.trainable_variables)
    own = learner.averaged.predict(np.random.default_rng(5).normal(size=(3, 3)).astype("float32"), verbose=0)
    np.testing.assert_allclose(learner.sample(3, seed=5), own, atol=1e-6)


def test_a_conditional_gan_with_spectral_norm_is_saved_loaded_and_saved_the_same(tmp_path):
    sizes = dict(critic_norm=None, spectral_norm=True)
    learner = learner_of(sizes, loss=losses.HingeGAN(), average=0.9)
    x, y = images()
    learner.fit(x, y, batch_size=8, epochs=1, verbose=0)
    drawn = learner.sample(4, labels=[0, 1, 2, 3])
    assert drawn.shape == (4, *generative.SHAPE) and 0 <= drawn.min() < drawn.max() <= 1
    np.testing.assert_allclose(learner.sample(2, labels=[0, 1]), drawn[:2], atol=1e-6)
    learner.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    assert isinstance(loaded.adversarial_loss, losses.HingeGAN) and loaded.average == 0.9
    np.testing.assert_array_equal(loaded.sample(4, labels=[0, 1, 2, 3]), drawn)
    loaded.save(tmp_path / "b.keras")
    again = keras.models.load_model(tmp_path / "b.keras")
    for a, b in zip(loaded.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Crash(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_crashed_training_goes_on_to_the_same_weights(tmp_path):
    x, _ = images()

    def train(folder, *callbacks):
        kzoo.set_seed(3)
        learner, batches = learner_of(average=0.9), kzoo.data.Batches(x, None, 8)
        resume = Resume(tmp_path / folder, data=batches)
        learner.fit(batches, epochs=3, verbose=0, callbacks=[resume, *callbacks])
        return learner

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("cut", Crash())
    resumed = train("cut")
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_it_trains_in_half_precision_with_a_penalty():
    keras.config.set_dtype_policy("mixed_bfloat16")
    learner = learner_of(PENALISED, loss=losses.WassersteinGAN(), penalty=10.0)
    logs = learner.fit(images()[0], batch_size=8, verbose=0).history
    assert learner.critic.compute_dtype == "bfloat16" and np.isfinite(list(logs.values())).all()
    assert learner.sample(2).dtype == "float32"


def test_it_learns_how_bright_images_are():
    x = np.full((64, *generative.SHAPE), 0.9, "float32")
    learner = learner_of(dict(critic_norm=None, num_classes=0), rate=0.01)
    before = learner.sample(32).mean()
    learner.fit(x, batch_size=16, epochs=15, verbose=0)
    assert abs(learner.sample(32).mean() - 0.9) < 0.5 * abs(before - 0.9)


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x, y: learner_of().fit(2 * x - 1, verbose=0), "between 0 and 1"),
        (lambda x, y: learner_of({}).fit(x, verbose=0), "images and their labels"),
        (lambda x, y: learner_of({}).sample(2), "needs labels="),
        (lambda x, y: learner_of(penalty=10.0), "batch norm mixes images"),
        (
            lambda x, y: learner_of(
                {"critic_norm": layers.LayerNormalization, "num_classes": 0}, penalty=10.0
            ),
            "RMSNormalization.*LayerNormalization 'norm_2'",
        ),
        (lambda x, y: learner_of(critic_steps=0), "critic_steps=0"),
        (
            lambda x, y: learner_of(critic_steps=9).fit(x[:8], batch_size=8, verbose=0),
            "each of 9 critic steps",
        ),
        (lambda x, y: learner_of(average=1.0), "average=1.0"),
        (lambda x, y: learner_of(penalty=-1.0), "penalty=-1.0"),
        (lambda x, y: learner_of(loss="hinge"), "GAN losses.*'hinge'"),
        (lambda x, y: AdversarialNetworks(generative.network("vae")), "layers generator and critic"),
        (lambda x, y: generative.network("dcgan", image_shape=(6, 6, 1)), "multiples of 4"),
    ],
)
def test_what_is_wrong_is_told_clearly(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(*images())
