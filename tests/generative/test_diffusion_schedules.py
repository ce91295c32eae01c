"""The formulas of diffusion against NumPy transcriptions of the papers, in float64 where the engine has it."""

import numpy as np
import pytest
from keras import ops

from kzoo.ops import diffusion

RNG = np.random.default_rng(0)
X, IMAGE, NOISE = (RNG.normal(size=(3, 4, 5, 2)) for _ in range(3))


def close(ours, theirs):
    np.testing.assert_allclose(ops.convert_to_numpy(ours), theirs, rtol=2e-4, atol=1e-5)


def tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(a, "float32")) for a in arrays]


@pytest.mark.once
def test_schedules_are_those_of_the_papers():
    np.testing.assert_allclose(diffusion.linear_betas(1000), np.linspace(1e-4, 0.02, 1000))
    signal = [np.cos((k / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2 for k in range(1001)]
    betas = [min(1 - signal[k + 1] / signal[k], 0.999) for k in range(1000)]
    np.testing.assert_allclose(diffusion.cosine_betas(1000), betas)
    left = 1.0
    for beta, ours in zip(betas, diffusion.signal_of(betas)):
        left *= 1 - beta
        assert ours == pytest.approx(left, rel=1e-10)


@pytest.mark.once
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_all_signal_is_there_at_first_and_nearly_none_at_last_however_many_steps(name):
    for steps in (50, 1000):
        signal = diffusion.signal_of(diffusion.SCHEDULES[name](steps))
        assert (np.diff(signal) < 0).all()
        assert signal[0] > 0.95 and signal[-1] < 1e-3


@pytest.mark.once
def test_times_go_down_from_the_last_to_the_first():
    assert list(diffusion.spaced_times(1000, 5)) == [999, 749, 500, 250, 0]
    assert list(diffusion.spaced_times(4, 4)) == [3, 2, 1, 0] and list(diffusion.spaced_times(9, 1)) == [8]
    for wrong in (0, 10):
        with pytest.raises(ValueError, match=f"count={wrong}"):
            diffusion.spaced_times(9, wrong)


def test_an_image_comes_back_from_what_was_noised_and_its_noise_or_velocity():
    image, noise, signal = tensors(IMAGE, NOISE, 0.3)
    x = diffusion.noised(image, noise, signal)
    close(x, np.sqrt(0.3) * IMAGE + np.sqrt(0.7) * NOISE)
    velocity = diffusion.velocity(image, noise, signal)
    close(velocity, np.sqrt(0.3) * NOISE - np.sqrt(0.7) * IMAGE)
    close(diffusion.image_from_noise(x, noise, signal), IMAGE)
    close(diffusion.image_from_velocity(x, velocity, signal), IMAGE)
    close(diffusion.noise_in(x, image, signal), NOISE)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_posterior_is_equation_7_at_each_time(name):
    betas = diffusion.SCHEDULES[name](20)
    signal = diffusion.signal_of(betas)
    for t in (1, 7, 19):
        alpha, beta, before = 1 - betas[t], betas[t], signal[t - 1]
        mean = np.sqrt(before) * beta / (1 - signal[t]) * IMAGE
        mean += np.sqrt(alpha) * (1 - before) / (1 - signal[t]) * X
        variance = (1 - before) / (1 - signal[t]) * beta
        ours = diffusion.posterior(*tensors(X, IMAGE, signal[t], before))
        close(ours[0], mean)
        close(ours[1], variance)
        close(
            diffusion.ddpm_step(*tensors(X, IMAGE, NOISE, signal[t], before)),
            mean + np.sqrt(variance) * NOISE,
        )


def test_ddpm_in_fewer_steps_is_ddpm_with_the_betas_of_the_longer_steps():
    signal = diffusion.signal_of(diffusion.linear_betas(1000))[[999, 600, 200]][::-1]
    betas = 1 - signal / np.append(1.0, signal[:-1])  # equation 19 of Nichol and Dhariwal
    _, variance = diffusion.posterior(*tensors(X, IMAGE, signal[2], signal[1]))
    close(variance, betas[2] * (1 - signal[1]) / (1 - signal[2]))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_step_of_ddim_is_equation_12(eta):
    signal, before = 0.2, 0.5
    guess = (X - np.sqrt(signal) * IMAGE) / np.sqrt(1 - signal)
    deviation = eta * np.sqrt((1 - before) / (1 - signal)) * np.sqrt(1 - signal / before)
    image = (X - np.sqrt(1 - signal) * guess) / np.sqrt(signal)
    theirs = np.sqrt(before) * image + np.sqrt(1 - before - deviation**2) * guess + deviation * NOISE
    close(diffusion.ddim_step(*tensors(X, IMAGE, NOISE, signal, before), eta), theirs)


def test_ddim_with_eta_1_is_ddpm_at_every_time():
    signal = diffusion.signal_of(diffusion.cosine_betas(30))
    for t in range(30):
        given = tensors(X, IMAGE, NOISE, signal[t], signal[t - 1] if t else 1.0)
        close(diffusion.ddim_step(*given, eta=1.0), ops.convert_to_numpy(diffusion.ddpm_step(*given)))


def test_the_last_step_gives_the_image():
    given = tensors(X, IMAGE, NOISE, 0.99, 1.0)
    close(diffusion.ddim_step(*given, eta=1.0), IMAGE)
    close(diffusion.ddpm_step(*given), IMAGE)
