"""Environments as agents are trained on them, out of Gymnasium's own wrappers.

Around every one lie the statistics of its episodes, below whatever changes rewards, so that what is reported is what
was scored.
"""

import difflib

import numpy as np

from kzoo.engine import require

EXTRA = "rl"
LIMIT = 10.0  # where normalised observations and rewards are clipped


def make(name, *, atari=None, training=True, normalise=False, discount=0.99, render=False):
    """One environment, ready for an agent.

    Args:
        name: as Gymnasium knows it: `CartPole-v1`, `HalfCheetah-v5`, `ALE/Pong-v5`.
        atari: whether frames are prepared as for Atari games; by default by the name's `ALE/`.
        training: whether a lost life ends an episode and rewards are clipped or normalised, as befits learning only.
        normalise: whether observations are brought to mean 0 and deviation 1 as they come, and rewards scaled.
        discount: γ, for the scale of rewards.
        render: whether `render()` gives pictures.

    Raises:
        ValueError: if there is no such environment, naming the nearest; or its spaces are not supported.
    """
    gymnasium = require("gymnasium", EXTRA)
    atari = name.startswith("ALE/") if atari is None else atari
    if atari:
        gymnasium.register_envs(require("ale_py", EXTRA))
        require("cv2", EXTRA)
    if name not in gymnasium.registry:
        near = difflib.get_close_matches(name, gymnasium.registry, n=3, cutoff=0.5)
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"Gymnasium has no environment {name!r}{hint} Received: {name!r}")
    options = {"render_mode": "rgb_array"} if render else {}
    options |= {"frameskip": 1, "repeat_action_probability": 0.0} if atari else {}
    environment = gymnasium.make(name, disable_env_checker=True, **options)
    check_spaces(name, environment)
    wrappers = gymnasium.wrappers
    environment = scored(environment)
    if atari:
        environment = _atari(wrappers, environment, training)
    if isinstance(environment.action_space, gymnasium.spaces.Box):
        environment = wrappers.ClipAction(environment)
    if normalise:
        environment = _normalised(gymnasium, environment, training, discount)
    return environment


def scored(environment):
    """An environment that says what each episode scored, if it does not do so already."""
    wrapper, one = require("gymnasium", EXTRA).wrappers.RecordEpisodeStatistics, environment
    check_spaces(type(environment.unwrapped).__name__, environment)
    while one is not one.unwrapped:
        if isinstance(one, wrapper):
            return environment
        one = one.env
    return wrapper(environment, buffer_length=1)


def check_spaces(name, environment):
    """Raises a `ValueError` for spaces that no agent here deals with."""
    spaces = require("gymnasium", EXTRA).spaces
    seen, done = environment.observation_space, environment.action_space
    if not isinstance(seen, spaces.Box) or len(seen.shape) not in (1, 3):
        raise ValueError(f"{name}: observations must be vectors or images. Received: {seen}")
    if not isinstance(done, spaces.Discrete) and not (isinstance(done, spaces.Box) and len(done.shape) == 1):
        raise ValueError(f"{name}: actions must be choices (Discrete) or vectors (Box). Received: {done}")
    if isinstance(done, spaces.Discrete) and done.start != 0:
        raise ValueError(f"{name}: actions must be counted from 0. Received: {done}")


def _atari(wrappers, environment, training):
    """`(84, 84, 4)` bytes: every fourth frame, grey, four of them (Mnih et al. 2015, Methods, "Preprocessing")."""
    spaces = require("gymnasium", EXTRA).spaces
    environment = wrappers.AtariPreprocessing(environment, noop_max=30, frame_skip=4, screen_size=84)
    if training:
        environment = episodic_life(environment)
        environment = wrappers.TransformReward(environment, np.sign)
    environment = wrappers.FrameStackObservation(environment, 4)
    return wrappers.TransformObservation(
        environment,
        lambda frames: np.moveaxis(frames, 0, -1),
        spaces.Box(0, 255, (84, 84, 4), np.uint8),
    )


def episodic_life(environment):
    """A lost life as an end, after which the game goes on: what was lost is then seen in the value."""
    gymnasium = require("gymnasium", EXTRA)

    class EpisodicLife(gymnasium.Wrapper):
        def __init__(self, env):
            super().__init__(env)
            self.lives, self.over = 0, True

        def step(self, action):
            observation, reward, terminated, truncated, info = self.env.step(action)
            self.over, lives = terminated or truncated, self.unwrapped.ale.lives()
            lost, self.lives = 0 < lives < self.lives, lives
            return observation, reward, terminated or lost, truncated, info

        def reset(self, *, seed=None, options=None):
            if self.over or seed is not None:
                observation, info = self.env.reset(seed=seed, options=options)
                self.over = False
            else:  # the next life of the same game
                observation, _, terminated, truncated, info = self.env.step(0)
                if terminated or truncated:
                    observation, info = self.env.reset()
            self.lives = self.unwrapped.ale.lives()
            return observation, info

    return EpisodicLife(environment)


def _normalised(gymnasium, environment, training, discount):
    wrappers = gymnasium.wrappers
    environment = wrappers.NormalizeObservation(environment)
    space = gymnasium.spaces.Box(-LIMIT, LIMIT, environment.observation_space.shape, np.float32)
    environment = wrappers.TransformObservation(environment, lambda x: np.clip(x, -LIMIT, LIMIT), space)
    if training:
        environment = wrappers.NormalizeReward(environment, discount)
        environment = wrappers.TransformReward(environment, lambda r: float(np.clip(r, -LIMIT, LIMIT)))
    return environment


def statistics_of(environment):
    """The running means of the observations' and rewards' normalisation, `None` where there is none."""
    found = {"obs_rms": None, "return_rms": None}
    while True:
        for name in found:
            if name in vars(environment):
                found[name] = getattr(environment, name)
        if environment is environment.unwrapped:
            return found
        environment = environment.env


def share_statistics(environments):
    """Lets several environments normalise by one mean and deviation, which all of them move."""
    shared = statistics_of(environments[0])
    for environment in environments[1:]:
        _put(environment, shared)


def freeze_statistics(environment, observations):
    """Lets an environment for evaluation normalise by what training found, and leave that alone."""
    _put(environment, {"obs_rms": observations}, update_running_mean=False)


def _put(environment, values, **more):
    while environment is not environment.unwrapped:
        for name, value in values.items():
            if name in vars(environment):
                for key, one in {name: value, **more}.items():
                    setattr(environment, key, one)
        environment = environment.env
