"""An episode as pictures: a strip of moments, and a film that moves."""

import warnings

import numpy as np

from kzoo.engine import require
from kzoo.files import replacing
from kzoo.rl.wrappers import freeze_statistics, make

MOMENTS = 8  # of a strip


def film(
    agent, name, strip=None, gif=None, *, seed=2_000_000, statistics=None, frames=150, height=200, **options
):
    """Plays one episode and draws it.

    Args:
        agent: any agent.
        name: the environment's.
        strip: a PNG to write: eight moments, evenly spread.
        gif: a GIF to write, of at most so many `frames`, evenly spread.
        seed: of the episode.
        statistics: `Environments.statistics` of the training, where it normalised observations.
        frames: of the GIF.
        height: of a picture, in pixels.
        **options: of `kzoo.rl.wrappers.make`.

    Returns:
        The episode's return and its length in steps; `None`, with a warning, where nothing can be drawn (MuJoCo needs
        OpenGL: `MUJOCO_GL=egl` or `osmesa` without a screen).
    """
    environment = make(name, training=False, render=True, **options)
    if statistics and statistics["obs_rms"] is not None:
        freeze_statistics(environment, statistics["obs_rms"])
    observation, _ = environment.reset(seed=seed)
    try:
        pictures, ended, more = [environment.render()], False, {}
    except Exception as error:  # each renderer has its own errors; a training of hours must not end in one
        environment.close()
        warnings.warn(f"{name} cannot be drawn here, no film is made: {error}", stacklevel=2)
        return None
    while not ended:
        action = agent.best(np.asarray(observation)[None])[0]
        observation, _, terminated, truncated, more = environment.step(action)
        pictures.append(environment.render())
        ended = terminated or truncated
    environment.close()
    if strip is not None:
        _write_strip([_small(pictures[i], height) for i in _spread(len(pictures), MOMENTS)], strip)
    if gif is not None:
        _write_gif([_small(pictures[i], height) for i in _spread(len(pictures), frames)], gif)
    return float(np.ravel(more["episode"]["r"])[0]), int(np.ravel(more["episode"]["l"])[0])


def _spread(length, count):
    return np.unique(np.linspace(0, length - 1, min(length, count)).astype(int))


def _small(picture, height):
    image = require("PIL.Image", "recipes").fromarray(picture)
    return image.resize((max(1, round(image.width * height / image.height)), height))


def _write_strip(images, path):
    width, height = images[0].size
    strip = require("PIL.Image", "recipes").new("RGB", (len(images) * (width + 4) - 4, height), "white")
    for place, image in enumerate(images):
        strip.paste(image, (place * (width + 4), 0))
    with replacing(path) as aside:
        strip.save(aside, format="PNG")


def _write_gif(images, path):
    with replacing(path) as aside:
        images[0].save(aside, format="GIF", save_all=True, append_images=images[1:], duration=40, loop=0)
