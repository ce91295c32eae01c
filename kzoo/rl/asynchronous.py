"""A3C: workers in processes of their own, each with its own environment, moving the same weights without waiting.

The weights and the optimizer's statistics lie in memory that the processes share, as plain arrays. A worker copies the
weights, lives a few steps, computes gradients on its engine and applies them to the shared weights by RMSprop in NumPy,
without a lock: what two write at once may be lost, which the method allows (Recht et al. 2011, arXiv:1106.5730).

More processes than cores gain nothing; there `rl.OnPolicy` with several environments does the same in less time. What
workers live through depends on when each comes to its turn: a run cannot be repeated, and there is no checkpoint.

Source: Mnih et al. (2016), arXiv:1602.01783, algorithm S3 and section 4.
"""

import json
import multiprocessing
import os
import queue
import tempfile
import time
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
from keras import ops

from kzoo import autodiff, backend

DECAY, EPSILON = 0.99, 1e-5  # of the squared gradients


class Shared:
    """Weights, the running mean of squared gradients, and the count of steps, in memory that processes share.

    Args:
        sizes: numbers in each weight.
        name: of the memory to join; without it, new memory is made.
    """

    def __init__(self, sizes, name=None):
        self.total = int(sum(sizes))
        count = 8 + 8 * self.total
        self.memory = shared_memory.SharedMemory(name, create=name is None, size=count)
        self.steps = np.ndarray(1, "int64", self.memory.buf)
        self.weights = np.ndarray(self.total, "float32", self.memory.buf, 8)
        self.squares = np.ndarray(self.total, "float32", self.memory.buf, 8 + 4 * self.total)

    def move(self, gradient, learning_rate):
        """One step of RMSprop, in place."""
        self.squares *= DECAY
        self.squares += (1 - DECAY) * np.square(gradient)
        self.weights -= learning_rate * gradient / (np.sqrt(self.squares) + EPSILON)

    def close(self, unlink=False):
        self.steps = self.weights = self.squares = None  # views keep the memory from being closed
        self.memory.close()
        if unlink:
            self.memory.unlink()


def train_asynchronously(agent, name, steps, *, workers=2, seed=0, report=5_000, timeout=60.0, **settings):
    """Trains an actor-critic by workers that do not wait for each other.

    Args:
        agent: a `kzoo.learners.ActorCritic`; its optimizer is not used.
        name: the environment's, which every worker makes for itself.
        steps: of all workers together.
        workers: processes.
        seed: of the first worker's environment and draws; the others follow.
        report: steps between rows of the history.
        timeout: seconds without a word of any worker, beyond starting them, after which they are given up.
        **settings: `length` (5), `discount` (0.99), `trace` (1.0), `learning_rate` (7e-4, falling to 0) and `clipnorm`
            (0.5) of the whole gradient.

    Returns:
        The history: rows as of `kzoo.rl.train`. The agent has the weights.

    Raises:
        RuntimeError: if a worker fails.
    """
    usual = dict(length=5, discount=0.99, trace=1.0, learning_rate=7e-4, clipnorm=0.5)
    if wrong := set(settings) - set(usual):
        raise ValueError(f"there is no setting {sorted(wrong)[0]!r}: there are {', '.join(usual)}")
    if not workers > 0:
        raise ValueError(f"there must be a worker. Received: workers={workers!r}")
    variables = agent.network.trainable_variables
    shared = Shared([np.prod(variable.shape) for variable in variables])
    shared.steps[0], shared.squares[:] = 0, 0.0
    shared.weights[:] = np.concatenate([np.ravel(variable.numpy()) for variable in variables])
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        agent.save(Path(folder) / "agent.keras")
        job = usual | settings | dict(folder=folder, name=name, steps=steps, memory=shared.memory.name)
        processes = [
            context.Process(target=work, args=(json.dumps(job), seed + 1000 * i, told), daemon=True)
            for i in range(workers)
        ]
        for process in processes:
            process.start()
        try:
            history = _listen(processes, told, report, timeout)
            for variable, part in zip(variables, _parts(shared.weights, variables)):
                variable.assign(part)
        finally:
            for process in processes:
                process.terminate()
                process.join()
            shared.close(unlink=True)
    return history


def _listen(processes, told, report, timeout):
    """Gathers what the workers tell until all have ended."""
    history, episodes, start, going, next_row = [], [], None, len(processes), report
    while going:
        try:
            kind, content = told.get(timeout=timeout + 60.0 * (start is None))
        except queue.Empty:
            raise RuntimeError(f"the workers have told nothing for {timeout} s: are they stuck?") from None
        start = start or time.perf_counter()
        if kind == "failed":
            raise RuntimeError(f"a worker failed: {content}")
        if kind == "ended":
            going -= 1
        elif kind == "episode":
            episodes.append(content)
        if episodes and (episodes[-1][0] >= next_row or not going):
            next_row = episodes[-1][0] // report * report + report
            row = {"steps": episodes[-1][0], "seconds": round(time.perf_counter() - start, 2)}
            row |= {"episodes": len(episodes), "return": float(np.mean([one[1] for one in episodes]))}
            history.append(row)
            episodes = []
    return history


def _parts(flat, variables):
    """The flat weights cut into the variables' shapes."""
    ends = np.cumsum([np.prod(variable.shape) for variable in variables]).astype(int)
    return [part.reshape(v.shape).copy() for part, v in zip(np.split(flat, ends[:-1]), variables)]


def work(job, seed, told):
    """What a worker's process does."""
    try:
        _work(json.loads(job), seed, told)
    except Exception as error:
        told.put(("failed", f"{type(error).__name__}: {error}"))
    else:
        told.put(("ended", os.getpid()))


def _work(job, seed, told):
    import keras

    from kzoo.rl.rollout import Environments, Rollouts

    agent = keras.models.load_model(Path(job["folder"]) / "agent.keras")
    variables = agent.network.trainable_variables
    shared = Shared([np.prod(variable.shape) for variable in variables], job["memory"])
    environments, rng = Environments(job["name"], 1, seed=seed), np.random.default_rng(seed)
    rollouts = Rollouts(agent, environments, job["length"], job["discount"], job["trace"])

    def slopes(data):
        _, gradients = autodiff.value_and_grad(agent.loss_of, variables, has_aux=True)(data)
        return {"gradient": ops.concatenate([ops.reshape(gradient, (-1,)) for gradient in gradients])}

    reads = [*agent.trainable_variables, *agent.non_trainable_variables]
    program = backend.Program(slopes, reads, changing=True)  # inference alone would have no gradients
    while shared.steps[0] < job["steps"]:
        for variable, part in zip(variables, _parts(shared.weights, variables)):
            variable.assign(part)
        gradient = ops.convert_to_numpy(program(rollouts.collect(rng))["gradient"])
        norm = float(np.linalg.norm(gradient))
        gradient = gradient * min(1.0, job["clipnorm"] / (norm + 1e-6))
        left = max(0.0, 1.0 - shared.steps[0] / job["steps"])
        shared.move(gradient, job["learning_rate"] * left)
        shared.steps[0] += job["length"]
        for _, score, length in environments.episodes:
            told.put(("episode", (int(shared.steps[0]), score, length)))
        environments.episodes = []
    shared.close()
