"""What an environment knows, taken out and put back, so that an interrupted training goes on where it was.

Whole for classic control, MuJoCo and Atari under the wrappers of `kzoo.rl.wrappers`. Of any other environment
`state_of` gives `None`: it begins a new episode when training goes on, and the curve is another from there on.
"""

import base64
from collections import deque

import numpy as np

WRAPPERS = {  # what a wrapper knows beside its environment, by the class's name
    "TimeLimit": ("_elapsed_steps",),
    "OrderEnforcing": ("_has_reset",),
    "RecordEpisodeStatistics": ("episode_returns", "episode_lengths"),
    "NormalizeReward": ("discounted_reward",),
    "FrameStackObservation": ("obs_queue",),
    "AtariPreprocessing": ("lives", "game_over", "obs_buffer"),
    "EpisodicLife": ("lives", "over"),
    **dict.fromkeys(("PassiveEnvChecker", "ClipAction", "TransformObservation", "TransformReward"), ()),
    **dict.fromkeys(("NormalizeObservation", "DtypeObservation"), ()),
}
CLASSIC = ("state", "steps_beyond_terminated")


def state_of(environment):
    """A dictionary of plain values and arrays, or `None` where not all can be had."""
    found = {"wrappers": []}
    while environment is not environment.unwrapped:
        names = WRAPPERS.get(type(environment).__name__)
        if names is None:
            return None
        found["wrappers"].append({name: _plain(getattr(environment, name)) for name in names})
        environment = environment.env
    inner = _inner_state(environment)
    if inner is None:
        return None
    # Asked for, a generator is made where there was none: only what `reset(seed=…)` made is kept.
    generator = environment.np_random.bit_generator.state
    return found | {"inner": inner, "generator": generator}


def restore(environment, state):
    """Puts back what `state_of` gave."""
    for values in state["wrappers"]:
        for name, value in values.items():
            setattr(environment, name, _as(getattr(environment, name), value))
        environment = environment.env
    environment.np_random.bit_generator.state = state["generator"]
    _restore_inner(environment, state["inner"])


def _inner_state(environment):
    if hasattr(environment, "ale"):
        return {"ale": base64.b64encode(environment.ale.cloneSystemState().__getstate__()).decode()}
    if hasattr(environment, "model") and hasattr(environment, "data"):
        return {"mujoco": _mujoco(environment)}
    if type(environment).__module__.startswith("gymnasium.envs.classic_control"):
        return {name: _plain(getattr(environment, name)) for name in CLASSIC if hasattr(environment, name)}
    return None


def _restore_inner(environment, inner):
    if "ale" in inner:
        kind = type(environment.ale.cloneSystemState())
        kept = kind.__new__(kind)  # it has no other way in
        kept.__setstate__(base64.b64decode(inner["ale"]))
        environment.ale.restoreSystemState(kept)
    elif "mujoco" in inner:
        _mujoco(environment, inner["mujoco"])
    else:
        for name, value in inner.items():
            setattr(environment, name, value)


def _mujoco(environment, values=None):
    """The physics' whole state; with values, sets it."""
    import mujoco

    model, data, kind = environment.model, environment.data, mujoco.mjtState.mjSTATE_INTEGRATION
    if values is None:
        found = np.empty(mujoco.mj_stateSize(model, kind))
        mujoco.mj_getState(model, data, found, kind)
        return found
    for _ in range(
        2
    ):  # what follows from the state, and the state again: `mj_forward` changes the warm start
        mujoco.mj_setState(model, data, np.asarray(values, "float64"), kind)
        mujoco.mj_forward(model, data)
    mujoco.mj_setState(model, data, np.asarray(values, "float64"), kind)
    return None


def _plain(value):
    """A copy of plain lists, numbers and arrays."""
    if isinstance(value, deque | list | tuple):
        return [_plain(one) for one in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _as(before, value):
    if isinstance(before, deque):
        return deque(value, maxlen=before.maxlen)
    return value
