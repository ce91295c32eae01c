"""Training of agents: goes on until so many steps are taken, reports on the way, and can be interrupted anywhere."""

import base64
import json
import os
import shutil
import time
import warnings

import numpy as np
from keras import ops
from rich.console import Console

from kzoo import backend
from kzoo.files import check_writable, write_json
from kzoo.rl.rollout import Environments
from kzoo.rl.wrappers import freeze_statistics


def train(loop, steps, *, folder=None, every=50_000, report=5_000, configuration=None, log=None, verbose=0):
    """Advances a loop until its environments have taken so many steps.

    With a folder, agent, optimizer, replay buffer, generators and environments are kept there after every `every`
    steps: written aside and renamed, so that a kill at any moment leaves the last whole state, with which the next call
    goes on. The last one stays.

    Args:
        loop: `WholeEpisodes`, `OnPolicy`, `OffPolicy` or `Asynchronous`.
        steps: of all environments together.
        folder: where checkpoints go.
        every: steps between them.
        report: steps between rows of the history.
        configuration: what the training depends on, as JSON. A checkpoint of another is not used.
        log: a `kzoo.callbacks.RunLog` that the rows are written to.
        verbose: 0 for silence, else a line per row.

    Returns:
        The history: a list of dictionaries with `steps`, `seconds`, and of what ended since the row before the mean
        `return` and `length` and the number of `episodes`; and the last logs of the update.

    Raises:
        ValueError: if a checkpoint is cut off or does not fit.
    """
    checkpoints = None if folder is None else Checkpoints(folder, configuration)
    history = checkpoints.restore(loop) if checkpoints else []
    before, start = history[-1]["seconds"] if history else 0.0, time.perf_counter()
    kept, logs = loop.steps // every, {}
    console = Console(highlight=False)
    if log is not None:
        log.set_model(loop.agent)
        log.start()
    reported = history[-1]["steps"] // report if history else 0
    while loop.steps < steps:
        logs = loop.advance() or logs
        if loop.steps // report > reported or loop.steps >= steps:
            reported = loop.steps // report
            row = _row(loop, logs, before + time.perf_counter() - start)
            history.append(row)
            if log is not None:
                log.on_epoch_begin(len(history) - 1)
                log.on_epoch_end(len(history) - 1, row)
            if verbose:
                shown = (f"{name} {value:,.5g}" for name, value in row.items() if value is not None)
                console.print("  ".join(shown), soft_wrap=True)
        if checkpoints and loop.steps // every > kept and loop.steps < steps:
            kept = loop.steps // every
            checkpoints.save(loop, history)
    if checkpoints:
        checkpoints.save(loop, history)
    return history


def _row(loop, logs, seconds):
    """A row of the history; empties the list of episodes."""
    episodes, loop.environments.episodes = loop.environments.episodes, []
    row = {"steps": loop.steps, "seconds": round(seconds, 2), "episodes": len(episodes)}
    row["return"] = float(np.mean([one[1] for one in episodes])) if episodes else None
    row["length"] = float(np.mean([one[2] for one in episodes])) if episodes else None
    return row | {name: float(np.mean(ops.convert_to_numpy(value))) for name, value in logs.items()}


class Checkpoints:
    """States of a training in a folder, of which the last is whole.

    Args:
        folder: where they go.
        configuration: what the training depends on, as JSON.
    """

    def __init__(self, folder, configuration=None):
        self.folder = check_writable(folder)
        self.configuration = json.loads(json.dumps(configuration))

    def save(self, loop, history):
        """Writes a state aside, renames it and removes the one before."""
        final = self.folder / f"step-{loop.steps:012}"
        aside = self.folder / f".step-{loop.steps:012}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        loop.agent.save_weights(aside / "agent.weights.h5")
        loop.save(aside)
        arrays = {}
        state = _packed(loop.state(), arrays)
        if (engine := backend.get_random_state()) is not None:
            arrays[f"engine.{backend.name}"] = engine
        np.savez(aside / "arrays.npz", **arrays)
        state = {"state": state, "history": history, "configuration": self.configuration}
        write_json(aside / "training.json", state)
        if final.exists():
            shutil.rmtree(final)
        os.replace(aside, final)
        for older in self.folder.glob("step-*"):
            if older != final:
                shutil.rmtree(older)

    def restore(self, loop):
        """Puts the last state into a loop, if there is one, and gives its history."""
        states = sorted(path for path in self.folder.glob("step-*") if path.is_dir())
        if not states:
            return []
        saved = json.loads((states[-1] / "training.json").read_text())
        if saved["configuration"] != self.configuration:
            warnings.warn(
                f"{states[-1]} is of another configuration and is not used: training starts anew",
                stacklevel=3,
            )
            shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
            return []
        loop.load(states[-1])
        loop.agent.load_weights(states[-1] / "agent.weights.h5")
        with np.load(states[-1] / "arrays.npz") as arrays:
            loop.restore(_unpacked(saved["state"], arrays))
            if (key := f"engine.{backend.name}") in arrays:
                backend.set_random_state(arrays[key])
        return saved["history"]


def _packed(value, arrays):
    """Plain JSON of a state; its arrays go into the dictionary."""
    if isinstance(value, dict):
        return {key: _packed(one, arrays) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(one, arrays) for one in value]
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        arrays[name := f"array.{len(arrays)}"] = value
        return {"array": name}
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _unpacked(value, arrays):
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[value["array"]]
        if set(value) == {"bytes"}:
            return base64.b64decode(value["bytes"])
        return {key: _unpacked(one, arrays) for key, one in value.items()}
    return [_unpacked(one, arrays) for one in value] if isinstance(value, list) else value


def evaluate(
    agent, name, episodes=100, seed=1_000_000, *, statistics=None, at_once=25, exploring=0.0, **options
):
    """The returns of whole episodes in which the agent does what it thinks best, and learns nothing.

    Args:
        agent: any agent.
        name: the environment's, or a function that makes one.
        episodes: how many. Each has a seed of its own, from `seed` on, which training did not see.
        seed: of the first.
        statistics: `Environments.statistics` of the training, where it normalised observations.
        at_once: environments that are stepped together.
        exploring: the share of drawn actions, of a DQN.
        **options: of `kzoo.rl.wrappers.make`.

    Returns:
        float64 `(episodes,)`.
    """
    found, rng = [], np.random.default_rng(seed)
    for first in range(0, episodes, at_once):
        n = min(at_once, episodes - first)
        environments = (
            Environments(name, n, seed=seed + first, training=False, **options)
            if isinstance(name, str)
            else Environments(name, n, seed=seed + first)
        )
        if statistics and statistics["obs_rms"] is not None:
            for one in environments.vector.envs:
                freeze_statistics(one, statistics["obs_rms"])
            environments.observations, _ = environments.vector.reset(seed=seed + first)
        found += _returns(agent, environments, rng, exploring)
        environments.close()
    return np.array(found)


def _returns(agent, environments, rng, exploring):
    """The return of the first episode of each environment."""
    found, count = {}, environments.n
    while len(found) < count:
        actions = agent.best(environments.observations)
        if exploring:
            drawn = rng.integers(0, environments.num_actions, count)
            actions = np.where(rng.random(count) < exploring, drawn, actions)
        _, _, _, ended = environments.step(actions)
        places = np.flatnonzero(ended)
        for place, (_, score, _) in zip(places, environments.episodes):
            found.setdefault(int(place), score)
        environments.episodes = []
    return [found[i] for i in range(count)]
