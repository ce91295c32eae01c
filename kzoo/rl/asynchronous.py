"""A3C: workers in processes of their own, each with its own environment, moving the same weights without waiting.

The weights and the optimizer's statistics lie in memory that the processes share, as plain arrays. A worker copies the
weights, lives a few steps, computes gradients on its engine and applies them to the shared weights by RMSprop in NumPy,
without a lock: what two write at once may be lost, which the method allows (Recht et al. 2011, arXiv:1106.5730).

Source: Mnih et al. (2016), arXiv:1602.01783, algorithm S3 and section 4.
"""

import json
import multiprocessing
import os
import queue
import signal
import tempfile
import time
import weakref
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
from keras import ops

from kzoo import autodiff, backend
from kzoo.rl.loops import Loop

DECAY, EPSILON = 0.99, 1e-5  # of the squared gradients
MOMENT = 0.2  # seconds in which words of workers are gathered


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


class Asynchronous(Loop):
    """A loop for `kzoo.rl.train` in which workers live and learn by themselves: A3C.

    ```python
    agent = kzoo.learners.ActorCritic(actor_critic((4,), 2))
    agent.compile("rmsprop")  # as a loop wants it: the workers' RMSprop is their own
    history = rl.train(rl.Asynchronous(agent, "CartPole-v1", total=100_000, workers=4), 100_000)
    ```

    More processes than cores gain nothing; there `OnPolicy` with several environments does the same in less time. What
    workers live through depends on when each comes to its turn, so that no run can be repeated. A checkpoint has the
    weights, the squared gradients and the steps; the workers then begin new episodes.

    Args:
        agent: a `kzoo.learners.ActorCritic`.
        name: the environment's, which every worker makes for itself.
        total: steps of all workers together, over which the learning rate falls to 0.
        workers: processes.
        length: t, steps that a worker takes before it moves the weights.
        discount, trace: γ and λ.
        learning_rate: of RMSprop, at the start.
        clipnorm: of the whole gradient.
        seed: of environments and draws.
        timeout: seconds without a word of any worker, beyond starting them, after which they are given up.
    """

    def __init__(
        self,
        agent,
        name,
        *,
        total,
        workers=2,
        length=5,
        discount=0.99,
        trace=1.0,
        learning_rate=7e-4,
        clipnorm=0.5,
        seed=0,
        timeout=60.0,
    ):
        if not workers > 0:
            raise ValueError(f"there must be a worker. Received: workers={workers!r}")
        if not isinstance(name, str):
            raise ValueError(f"workers make environments by name. Received: name={name!r}")
        job = dict(name=name, total=total, length=length, discount=discount, trace=trace, seed=seed)
        job |= dict(learning_rate=learning_rate, clipnorm=clipnorm)
        super().__init__(agent, Workers(agent, job, workers, timeout), seed)

    def advance(self):
        """Waits for a moment, and takes the weights that are there after it."""
        if self.steps == self.environments.job["total"]:
            raise ValueError(
                f"the workers have taken all their steps: make a loop of more. Received: {self.steps=}"
            )
        self.environments.listen()
        return {}

    def state(self):
        workers = self.environments
        return {"squares": np.array(workers.squares), "steps": workers.steps, "learned": self.learned}

    def restore(self, state):
        self.environments.squares, self.environments.steps = state["squares"], state["steps"]
        self.learned = state["learned"]


class Workers:
    """The processes, in the place of the environments of other loops.

    Attributes:
        steps: how many all have taken, at most the total.
        squares: the running mean of squared gradients.
        episodes: what ended since it was last emptied: (steps until then, return, length).
        statistics: none, of no normalisation: a worker's would be its own.
    """

    def __init__(self, agent, job, count, timeout):
        self.agent, self.job, self.count, self.timeout = agent, job, count, timeout
        self.variables = agent.network.trainable_variables
        sizes = [np.prod(variable.shape) for variable in self.variables]
        self.sizes, self.steps, self.episodes = sizes, 0, []
        self.squares = np.zeros(int(sum(sizes)), "float32")
        self.statistics = {"obs_rms": None, "ret_rms": None}
        self.close, self.shared = lambda: None, None

    def _start(self):
        shared = self.shared = Shared(self.sizes)
        shared.steps[0], shared.squares[:] = self.steps, self.squares
        shared.weights[:] = np.concatenate([np.ravel(variable.numpy()) for variable in self.variables])
        os.environ.setdefault("KERAS_BACKEND", backend.name)  # the workers' engine too
        context = multiprocessing.get_context("spawn")
        self.told, folder = context.Queue(), tempfile.TemporaryDirectory()
        self.agent.save(Path(folder.name) / "agent.keras")
        job = json.dumps(self.job | {"folder": folder.name, "memory": shared.memory.name})
        seeds = [[self.job["seed"], i, self.steps] for i in range(self.count)]
        processes = [context.Process(target=work, args=(job, seed, self.told), daemon=True) for seed in seeds]
        self.close = weakref.finalize(self, _end, processes, shared, folder)
        self.going, self.heard = self.count, None
        for process in processes:
            process.start()

    def listen(self):
        """Gathers what the workers tell for a moment, and takes steps and weights over."""
        if self.shared is None or self.shared.steps is None:  # not begun, or closed
            self._start()
        moment = time.perf_counter() + MOMENT
        try:
            while (left := moment - time.perf_counter()) > 0 and self.going:
                self._hear(max(left, 0.001))
            while self.shared.steps[0] >= self.job["total"] and self.going:  # their last words
                self._hear(1.0)
        except BaseException:
            self.close()
            raise
        self.steps = min(int(self.shared.steps[0]), self.job["total"])
        self.squares[:] = self.shared.squares
        for variable, part in zip(self.variables, _parts(self.shared.weights, self.variables)):
            variable.assign(part)

    def _hear(self, seconds):
        """One word, if there is one in so many seconds."""
        now = time.perf_counter()
        self.heard = self.heard or now + 60.0  # they need a while to start
        try:
            kind, content = self.told.get(timeout=seconds)
        except queue.Empty:
            if now > self.heard + self.timeout:
                raise RuntimeError(
                    f"the workers have told nothing for {self.timeout} s: are they stuck?"
                ) from None
            return
        self.heard = now
        if kind == "failed":
            raise RuntimeError(f"a worker failed: {content}")
        if kind == "ended":
            self.going -= 1
        else:
            self.episodes.append(content)


def _end(processes, shared, folder):
    for process in processes:
        process.terminate()
        process.join()
    shared.close(unlink=True)
    folder.cleanup()


def _parts(flat, variables):
    """The flat weights cut into the variables' shapes."""
    ends = np.cumsum([np.prod(variable.shape) for variable in variables]).astype(int)
    return [part.reshape(v.shape).copy() for part, v in zip(np.split(flat, ends[:-1]), variables)]


def work(job, seed, told):
    """What a worker's process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the one that started the workers
    try:
        _work(json.loads(job), np.random.SeedSequence(seed), told)
    except Exception as error:
        told.put(("failed", f"{type(error).__name__}: {error}"))
    else:
        told.put(("ended", os.getpid()))


def _work(job, seed, told):
    import keras

    from kzoo.rl.rollout import Environments, Rollouts

    parent = os.getppid()
    agent = keras.models.load_model(Path(job["folder"]) / "agent.keras")
    variables = agent.network.trainable_variables
    shared = Shared([np.prod(variable.shape) for variable in variables], job["memory"])
    rng = np.random.default_rng(seed)
    environments = Environments(job["name"], 1, seed=int(rng.integers(2**31)))
    rollouts = Rollouts(agent, environments, job["length"], job["discount"], job["trace"])

    def slopes(data):
        _, gradients = autodiff.value_and_grad(agent.loss_of, variables, has_aux=True)(data)
        return {"gradient": ops.concatenate([ops.reshape(gradient, (-1,)) for gradient in gradients])}

    reads = [*agent.trainable_variables, *agent.non_trainable_variables]
    program = backend.Program(slopes, reads, changing=True)  # inference alone would have no gradients
    # Whose parent was killed has another one: nobody would ever end it.
    while shared.steps[0] < job["total"] and os.getppid() == parent:
        for variable, part in zip(variables, _parts(shared.weights, variables)):
            variable.assign(part)
        gradient = ops.convert_to_numpy(program(rollouts.collect(rng))["gradient"])
        norm = float(np.linalg.norm(gradient))
        gradient = gradient * min(1.0, job["clipnorm"] / (norm + 1e-6))
        left = max(0.0, 1.0 - shared.steps[0] / job["total"])
        shared.move(gradient, job["learning_rate"] * left)
        shared.steps[0] += job["length"]
        for _, score, length in environments.episodes:
            told.put(("episode", (int(shared.steps[0]), score, length)))
        environments.episodes = []
    shared.close()
