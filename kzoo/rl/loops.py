"""What happens over and over: live for a while, learn from it. One loop for each kind of agent.

A loop has `advance()`, one round of both, which gives the logs; `steps`, how many the environments have taken; and
`state()`, `restore(state)`, `save(folder)`, `load(folder)` for what a checkpoint keeps beside the agent's weights.
"""

from pathlib import Path

import numpy as np

from kzoo.rl.rollout import Episodes, Rollouts

REPLAY = "replay.bin"


class Loop:
    """What the loops share: environments, a generator, and how they are kept.

    Args:
        agent: a compiled agent.
        environments: `kzoo.rl.Environments`.
        seed: of all that is drawn.
    """

    def __init__(self, agent, environments, seed=0):
        self.agent, self.environments = agent, environments
        self.rng = np.random.default_rng(seed)
        self.learned = 0  # steps of the optimizer

    @property
    def steps(self):
        return self.environments.steps

    def state(self):
        return {
            "environments": self.environments.state(),
            "generator": self.rng.bit_generator.state,
            "learned": self.learned,
        }

    def restore(self, state):
        self.environments.restore(state["environments"])
        self.rng.bit_generator.state = state["generator"]
        self.learned = state["learned"]

    def save(self, folder):
        """Writes what does not fit into `state`."""

    def load(self, folder):
        """Reads it."""


class WholeEpisodes(Loop):
    """One step of the optimizer after an episode in each environment: REINFORCE.

    Args:
        agent, environments, seed: as of `Loop`.
        discount: γ.
    """

    def __init__(self, agent, environments, *, discount=0.99, seed=0):
        super().__init__(agent, environments, seed)
        self.episodes = Episodes(agent, environments, discount)

    def advance(self):
        self.learned += 1
        return self.agent.learn(self.episodes.collect(self.rng))


class OnPolicy(Loop):
    """Steps of the optimizer on what was just collected: A2C with one, PPO with several epochs of minibatches.

    Args:
        agent, environments, seed: as of `Loop`.
        length: steps in each environment before learning.
        discount, trace: γ and λ.
        epochs: how often everything is learned from; all of them are one call of the engine.
        minibatches: in how many parts.
    """

    def __init__(
        self, agent, environments, *, length, discount=0.99, trace=0.95, epochs=1, minibatches=1, seed=0
    ):
        super().__init__(agent, environments, seed)
        rows = length * environments.n
        if rows % minibatches:
            raise ValueError(
                f"{length} steps of {environments.n} environments do not part into {minibatches} minibatches. "
                f"Received: {length=}, {minibatches=}"
            )
        self.rollouts = Rollouts(agent, environments, length, discount, trace)
        self.epochs, self.minibatches = epochs, minibatches

    def advance(self):
        data = self.rollouts.collect(self.rng)
        self.learned += self.epochs * self.minibatches
        if self.epochs == self.minibatches == 1:
            return self.agent.learn(data)
        count = len(data["returns"])
        orders = [self.rng.permutation(count).reshape(self.minibatches, -1) for _ in range(self.epochs)]
        return self.agent.learn(data, np.concatenate(orders).astype("int32"))


class OffPolicy(Loop):
    """A step of the optimizer on a batch of the replay buffer every few steps: DQN.

    Args:
        agent, environments, seed: as of `Loop`.
        replay: `kzoo.rl.Replay` or `PrioritisedReplay`.
        total: steps of the whole training, which the schedules are stretched over.
        batch_size: of a step of the optimizer.
        begin: steps that are only lived through.
        every: steps for one of the optimizer.
        renew: steps of the environments after which the target network is renewed.
        exploring: the share of drawn actions at the start and at the end.
        exploration: the part of `total` over which that share falls.
        correction: β of prioritised replay, which grows to 1.
    """

    def __init__(
        self,
        agent,
        environments,
        replay,
        *,
        total,
        batch_size=128,
        begin=1000,
        every=1,
        renew=500,
        exploring=(1.0, 0.05),
        exploration=0.5,
        correction=0.4,
        seed=0,
    ):
        super().__init__(agent, environments, seed)
        if not 0 < batch_size <= replay.capacity:
            raise ValueError(
                f"a batch must fit into the replay buffer. Received: {batch_size=}, {replay.capacity=}"
            )
        self.replay, self.total, self.batch_size = replay, total, batch_size
        self.begin, self.every, self.renew = begin, every, renew
        self.exploring, self.exploration, self.correction = exploring, exploration, correction

    @property
    def share_drawn(self):
        """How often an action is drawn now."""
        first, last = self.exploring
        return max(last, first + (last - first) * self.steps / (self.exploration * self.total))

    def advance(self):
        """One step of each environment, and the optimizer's as they fall due."""
        environments, before = self.environments, self.steps
        observations = environments.observations
        draws = self.agent.draw(self.rng, environments.n)
        actions = self.agent.act(observations, draws, self.share_drawn)["actions"]
        rewards, following, terminated, ended = environments.step(actions)
        self.replay.add(observations, actions, rewards, following, terminated, ended)
        logs = {}
        if self.steps > self.begin:
            for _ in range(self.steps // self.every - before // self.every):
                logs = self._learn()
        if self.steps // self.renew > before // self.renew:
            self.agent.renew_target()
        return logs

    def _learn(self):
        correction = self.correction + (1 - self.correction) * min(1.0, self.steps / self.total)
        data, places = self.replay.sample(self.batch_size, self.rng, correction)
        logs = dict(self.agent.learn(data))
        errors = logs.pop("errors")
        self.replay.renew(places, errors)
        self.learned += 1
        return logs

    def save(self, folder):
        self.replay.save(Path(folder) / REPLAY)

    def load(self, folder):
        self.replay.load(Path(folder) / REPLAY)
