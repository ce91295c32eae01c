"""Diffusion: how noise is added by schedule, and the steps that take it away again.

Forward and DDPM: Ho, Jain and Abbeel (2020), arXiv:2006.11239. Cosine schedule and fewer steps: Nichol and Dhariwal
(2021), arXiv:2102.09672. DDIM: Song, Meng and Ermon (2021), arXiv:2010.02502. Velocity: Salimans and Ho (2022),
arXiv:2202.00512, appendix D.

`signal` is ᾱ, the share of the image's variance that is left; the noise has 1 - ᾱ. Schedules are NumPy in float64,
everything else works on tensors, with a signal that broadcasts to the images. Shapes: t steps, b batch.
"""

import math

import numpy as np
from keras import ops


def linear_betas(steps=1000, first=1e-4, last=0.02):
    """The noise added at each step, growing linearly: `(t,)`. `first` and `last` are of 1,000 steps, and scaled."""
    scale = 1000 / steps
    return np.minimum(np.linspace(first * scale, last * scale, steps), 0.999)


def cosine_betas(steps=1000, offset=0.008, largest=0.999):
    """Those of a signal that falls as a squared cosine: `(t,)`. `offset` keeps the first steps from being too small."""
    places = np.arange(steps + 1) / steps
    left = np.cos((places + offset) / (1 + offset) * math.pi / 2) ** 2
    return np.minimum(1 - left[1:] / left[:-1], largest)


SCHEDULES = {"linear": linear_betas, "cosine": cosine_betas}


def signal_of(betas):
    """ᾱ after each step: `(t,)`."""
    return np.cumprod(1 - np.asarray(betas, "float64"))


def spaced_times(steps, count):
    """`count` of the times from `steps - 1` down to 0, the first and last included: int32 `(count,)`.

    Raises:
        ValueError: if there are not so many.
    """
    if not 1 <= count <= steps:
        raise ValueError(f"there are {steps} times to choose from. Received: count={count}")
    if count == 1:
        return np.array([steps - 1], "int32")
    return np.round(np.linspace(steps - 1, 0, count)).astype("int32")


def noised(images, noise, signal):
    """`√ᾱ x + √(1 - ᾱ) ε`: what is left of images after the forward process (equation 4)."""
    return ops.sqrt(signal) * images + ops.sqrt(1 - signal) * noise


def velocity(images, noise, signal):
    """`√ᾱ ε - √(1 - ᾱ) x`, which a network can tell from a noised image at either end of the schedule."""
    return ops.sqrt(signal) * noise - ops.sqrt(1 - signal) * images


def image_from_noise(x, noise, signal):
    """The image that was noised to `x`, if the noise was this."""
    return (x - ops.sqrt(1 - signal) * noise) / ops.sqrt(signal)


def image_from_velocity(x, velocity, signal):
    """The image that was noised to `x`, if the velocity was this."""
    return ops.sqrt(signal) * x - ops.sqrt(1 - signal) * velocity


def noise_in(x, images, signal):
    """The noise by which the images became `x`."""
    return (x - ops.sqrt(signal) * images) / ops.sqrt(1 - signal)


def posterior(x, images, signal, before):
    """Mean and variance of the step before `x`, given the image (equations 6 and 7).

    Args:
        x: at a time of this signal.
        images: what is thought to have been noised.
        signal: ᾱ at that time.
        before: ᾱ at an earlier time, not necessarily the one before; 1 at the start.
    """
    alpha = signal / before
    mean = (ops.sqrt(before) * (1 - alpha) * images + ops.sqrt(alpha) * (1 - before) * x) / (1 - signal)
    return mean, (1 - alpha) * (1 - before) / (1 - signal)


def ddpm_step(x, images, noise, signal, before):
    """A draw of the step before: the posterior's mean and, times its deviation, `noise`."""
    mean, variance = posterior(x, images, signal, before)
    return mean + ops.sqrt(variance) * noise


def ddim_step(x, images, noise, signal, before, eta=0.0):
    """The step of DDIM (equations 12 and 16): without draws for `eta` 0, as `ddpm_step` for 1."""
    deviation = eta * ops.sqrt((1 - before) / (1 - signal) * (1 - signal / before))
    direction = ops.sqrt(ops.maximum(1 - before - ops.square(deviation), 0.0)) * noise_in(x, images, signal)
    return ops.sqrt(before) * images + direction + deviation * noise
