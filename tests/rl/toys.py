"""An environment of known values."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="agents need gymnasium: pip install 'kzoo[rl]'")


class Corridor(gymnasium.Env):
    """Counts its steps: a reward of 1 each, terminated after `ends` of them, truncated after `cut`."""

    observation_space = gymnasium.spaces.Box(-100, 100, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, ends=None, cut=None):
        self.ends, self.cut, self.count = ends, cut, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1, "float32"), {}

    def step(self, action):
        self.count += 1
        terminated, truncated = self.count == self.ends, self.count == self.cut
        return np.array([self.count], "float32"), 1.0, terminated, truncated, {}


def corridor(**options):
    """A function that makes one."""
    return lambda: Corridor(**options)
