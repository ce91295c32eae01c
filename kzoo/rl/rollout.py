"""Environments stepped together, and what a policy lives through in them.

A finished episode begins anew in the same step (Gymnasium's `AutoresetMode.SAME_STEP`), so that every step is one of
learning. What was seen last of the old episode is kept apart: it, and not the new episode's beginning, is what follows
the last action, and its value stands in for the future where a time limit cut the episode off.
"""

import numpy as np

from kzoo.engine import require
from kzoo.ops.returns import discounted_returns, generalised_advantages
from kzoo.rl.states import restore, state_of
from kzoo.rl.wrappers import EXTRA, make, scored, share_statistics, statistics_of


class Environments:
    """n environments of one name, stepped together.

    Args:
        name: as Gymnasium knows it, or a function without arguments that makes one.
        n: how many.
        seed: of the first; the others follow.
        **options: of `kzoo.rl.wrappers.make`.

    Attributes:
        observations: `(n, …)`, what is seen now.
        steps: how many steps all of them have taken.
        episodes: what ended since it was last emptied: (steps until then, return, length).
    """

    def __init__(self, name, n=1, seed=0, **options):
        vector = require("gymnasium", EXTRA).vector
        if not n > 0:
            raise ValueError(f"there must be an environment. Received: n={n!r}")
        one = (lambda: scored(name())) if callable(name) else lambda: make(name, **options)
        self.vector = vector.SyncVectorEnv([one] * n, autoreset_mode=vector.AutoresetMode.SAME_STEP)
        share_statistics(self.vector.envs)
        self.n, self.steps, self.episodes = n, 0, []
        self.observations, _ = self.vector.reset(seed=seed)

    @property
    def observation_space(self):
        return self.vector.single_observation_space

    @property
    def action_space(self):
        return self.vector.single_action_space

    @property
    def continuous(self):
        """Whether actions are vectors instead of choices."""
        return not hasattr(self.action_space, "n")

    @property
    def num_actions(self):
        return self.action_space.shape[0] if self.continuous else int(self.action_space.n)

    @property
    def statistics(self):
        """The running means of the normalisation, see `statistics_of`."""
        return statistics_of(self.vector.envs[0])

    def step(self, actions):
        """One action of each.

        Args:
            actions: `(n,)` or `(n, d)`.

        Returns:
            rewards `(n,)`, following observations `(n, …)`, terminated and ended: boolean `(n,)`.
        """
        self.observations, rewards, terminated, truncated, more = self.vector.step(actions)
        self.steps += self.n
        following, ended = self.observations, terminated | truncated
        if ended.any():
            following = following.copy()
            for i in np.flatnonzero(ended):
                following[i] = more["final_obs"][i]
            self._note(more.get("final_info", {}).get("episode"))
        return rewards, following, terminated, ended

    def _note(self, episode):
        if episode is not None:
            for i in np.flatnonzero(episode["_r"]):
                self.episodes.append((self.steps, float(episode["r"][i]), int(episode["l"][i])))

    # ------------------------------------------------------------------ going on later

    def state(self):
        """All that must be kept to go on, as plain values and arrays."""
        statistics = {
            name: {key: np.array(getattr(one, key)) for key in ("mean", "var", "count")}
            for name, one in self.statistics.items()
            if one is not None
        }
        return {
            "observations": np.array(self.observations),
            "steps": self.steps,
            "episodes": [list(one) for one in self.episodes],
            "statistics": statistics,
            "environments": [state_of(one) for one in self.vector.envs],
        }

    def restore(self, state):
        """Goes on from `state`. Where an environment's own could not be had, it begins a new episode."""
        self.steps, self.episodes = state["steps"], [tuple(one) for one in state["episodes"]]
        self.observations = np.array(state["observations"])
        for i, (one, kept) in enumerate(zip(self.vector.envs, state["environments"], strict=True)):
            if kept is None:
                self.observations[i], _ = one.reset(seed=self.steps + i)
            else:
                restore(one, kept)
        for name, values in state["statistics"].items():
            for key, value in values.items():
                setattr(self.statistics[name], key, value if value.ndim else value.item())

    def close(self):
        self.vector.close()


class Rollouts:
    """Collects steps of a policy, of a fixed number in each environment, with advantages.

    Args:
        agent: a `kzoo.learners.ActorCritic` or `PPO`.
        environments: `Environments`.
        length: t, steps in each before learning.
        discount: γ.
        trace: λ of generalised advantages; 1 for returns of up to t steps.
    """

    def __init__(self, agent, environments, length, discount=0.99, trace=0.95):
        self.agent, self.environments, self.length = agent, environments, length
        self.discount, self.trace = discount, trace

    def collect(self, rng):
        """The next t steps of the n environments as a batch of t n rows, for the agent's `learn`."""
        environments, kept = self.environments, []
        draws = self.agent.draw(
            rng, self.length * environments.n
        )  # at once: one by one would take as long as a step
        draws = draws.reshape(self.length, environments.n, -1)
        for t in range(self.length):
            observations = environments.observations
            decided = self.agent.act(observations, draws[t])
            rewards, following, terminated, ended = environments.step(decided["actions"])
            cut_off = following[ended & ~terminated] if ended.any() else None
            kept.append((observations, decided, rewards, terminated, ended, cut_off))
        observations, decided, rewards, terminated, ended, _ = zip(*kept)
        rows = {name: np.stack([one[name] for one in decided]) for name in decided[0]}
        terminated, ended = np.stack(terminated), np.stack(ended)
        next_values = self._next_values(rows["values"], terminated, ended, [one[-1] for one in kept])
        advantages, returns = generalised_advantages(
            np.stack(rewards), rows["values"], next_values, terminated, ended, self.discount, self.trace
        )
        rows |= {"observations": np.stack(observations), "advantages": advantages, "returns": returns}
        return {name: values.reshape(-1, *values.shape[2:]) for name, values in rows.items()}

    def _next_values(self, values, terminated, ended, cut_off):
        """`V` of what followed each step, `(t, n)`: asked for only where it is not the next row's."""
        last = self.environments.observations
        found = np.concatenate([values[1:], self.agent.values(last)[None]])
        where = ended & ~terminated
        seen = [one for one in cut_off if one is not None and len(one)]
        if seen:
            found[where] = self._values_of(np.concatenate(seen), len(last))
        return found

    def _values_of(self, observations, n):
        """In parts of n, for which the program is compiled already."""
        missing = -len(observations) % n
        padded = np.concatenate([observations, np.repeat(observations[-1:], missing, axis=0)])
        values = [self.agent.values(padded[i : i + n]) for i in range(0, len(padded), n)]
        return np.concatenate(values)[: len(observations)]


class Episodes:
    """Collects whole episodes, one in each environment, with the returns from each step on.

    What an environment does after its end waits for the others and is not used, nor counted as a step.

    Args:
        agent: a `kzoo.learners.Reinforce`.
        environments: `Environments`.
        discount: γ.
        longest: after so many steps an episode is cut off.
    """

    def __init__(self, agent, environments, discount=0.99, longest=10_000):
        self.agent, self.environments, self.discount, self.longest = agent, environments, discount, longest

    def collect(self, rng):
        """A batch for `Reinforce.learn`, filled up with rows of weight 0 to a power of two: few shapes to compile."""
        environments, kept, before = self.environments, [], self.environments.steps
        n, going = environments.n, np.ones(environments.n, bool)
        last = np.zeros(n)
        environments.observations, _ = environments.vector.reset()
        while going.any() and len(kept) < self.longest:
            observations = environments.observations
            decided = self.agent.act(observations, self.agent.draw(rng, n))
            noted = len(environments.episodes)
            rewards, following, terminated, ended = environments.step(decided["actions"])
            if not going[ended].all():  # second episodes of those that wait
                firsts = going[ended]
                new = environments.episodes[noted:]
                environments.episodes[noted:] = [one for one, first in zip(new, firsts) if first]
            kept.append((observations, decided["actions"], rewards, going & ended, going.copy()))
            cut_off = going & ended & ~terminated
            if cut_off.any() and self.agent.has_value:
                last = np.where(cut_off, self.agent.values(following), last)
            going = going & ~ended
        observations, actions, rewards, ends, used = (np.stack(one) for one in zip(*kept))
        environments.steps = before + int(used.sum())
        # After its end a row counts nothing; what an episode was cut off from counts as if it were one more reward.
        rewards = np.where(used, rewards, 0.0) + self.discount * np.where(ends, last, 0.0)
        returns = discounted_returns(rewards, ends, self.discount)
        rows = {"observations": observations[used], "actions": actions[used], "returns": returns[used]}
        return _filled_up(rows, int(used.sum()))


def _filled_up(rows, count):
    size = max(64, 1 << (count - 1).bit_length())
    rows = rows | {"weights": np.ones(count, "float32")}
    return {
        name: np.concatenate([values, np.zeros((size - count, *values.shape[1:]), values.dtype)])
        for name, values in rows.items()
    }
