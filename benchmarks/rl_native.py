"""PPO and DQN in PyTorch alone, as single-file implementations write them: the peers of `rl.py`.

The same networks, hyper-parameters and environments as kzoo's, stepped by the same Gymnasium vector.
"""

import itertools
import time

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional as F


def environments(n):
    def one():
        return gymnasium.wrappers.RecordEpisodeStatistics(
            gymnasium.make("CartPole-v1", disable_env_checker=True), buffer_length=1
        )

    return SyncVectorEnv([one] * n, autoreset_mode=AutoresetMode.SAME_STEP)


def mlp(sizes, activation, gains=None):
    stack = []
    for place, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(fan_in, fan_out)
        if gains:
            nn.init.orthogonal_(layer.weight, gains[place])
            nn.init.zeros_(layer.bias)
        stack += [layer, activation()]
    return nn.Sequential(*stack[:-1])


class PPO:
    """4 environments, 128 steps, 4 epochs of 4 minibatches."""

    n, length, epochs, minibatches = 4, 128, 4, 4

    def __init__(self):
        torch.manual_seed(0)
        self.policy = mlp((4, 64, 64, 2), nn.Tanh, (2**0.5, 2**0.5, 0.01))
        self.value = mlp((4, 64, 64, 1), nn.Tanh, (2**0.5, 2**0.5, 1.0))
        self.weights = [*self.policy.parameters(), *self.value.parameters()]
        self.optimizer = torch.optim.Adam(self.weights, lr=2.5e-4, eps=1e-5)
        self.environments = environments(self.n)
        self.seen = torch.as_tensor(self.environments.reset(seed=0)[0])

    def round(self):
        """Seconds of living and of learning, and the steps of each."""
        start = time.perf_counter()
        t, n = self.length, self.n
        seen, actions = torch.zeros(t, n, 4), torch.zeros(t, n, dtype=torch.long)
        log_probs, rewards, values, ended = (torch.zeros(t, n) for _ in range(4))
        for i in range(t):
            seen[i] = self.seen
            with torch.no_grad():
                distribution = Categorical(logits=self.policy(self.seen))
                actions[i] = distribution.sample()
                log_probs[i] = distribution.log_prob(actions[i])
                values[i] = self.value(self.seen).flatten()
            found, reward, terminated, truncated, _ = self.environments.step(actions[i].numpy())
            rewards[i], ended[i] = torch.as_tensor(reward), torch.as_tensor(terminated | truncated).float()
            self.seen = torch.as_tensor(found)
        with torch.no_grad():
            following = self.value(self.seen).flatten()
            advantages, last = torch.zeros(t, n), torch.zeros(n)
            for i in reversed(range(t)):
                delta = rewards[i] + 0.99 * following * (1 - ended[i]) - values[i]
                advantages[i] = last = delta + 0.99 * 0.95 * (1 - ended[i]) * last
                following = values[i]
            returns = advantages + values
        middle = time.perf_counter()
        data = [x.flatten(0, 1) for x in (seen, actions, log_probs, advantages, returns, values)]
        size = t * n // self.minibatches
        for _ in range(self.epochs):
            order = torch.randperm(t * n)
            for rows in order.split(size):
                self.learn(*(x[rows] for x in data))
        return middle - start, time.perf_counter() - middle, t * n, self.epochs * self.minibatches

    def learn(self, seen, actions, log_probs, advantages, returns, values):
        distribution = Categorical(logits=self.policy(seen))
        difference = distribution.log_prob(actions) - log_probs
        ratio = difference.exp()
        with torch.no_grad():
            _ = ((ratio - 1) - difference).mean(), ((ratio - 1).abs() > 0.2).float().mean()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss = torch.max(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).mean()
        value = self.value(seen).flatten()
        near = values + (value - values).clamp(-0.2, 0.2)
        value_loss = 0.5 * torch.max((value - returns) ** 2, (near - returns) ** 2).mean()
        loss = policy_loss + 0.5 * value_loss - 0.01 * distribution.entropy().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 0.5)
        self.optimizer.step()


class DQN:
    """One environment, a step of the optimizer on 128 rows after every fourth of its steps."""

    every, batch, count = 4, 128, 400

    def __init__(self):
        torch.manual_seed(0)
        self.rng = np.random.default_rng(0)
        self.network, self.target = (mlp((4, 120, 84, 2), nn.ReLU) for _ in range(2))
        self.target.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=2.5e-4)
        self.environments = environments(1)
        self.seen = self.environments.reset(seed=0)[0]
        self.rows = [
            np.zeros((10_000, *shape), kind)
            for shape, kind in (((4,), "f"), ((), "l"), ((), "f"), ((4,), "f"), ((), "f"))
        ]
        self.place = 0

    def round(self):
        start, learning = time.perf_counter(), 0.0
        for _ in range(self.count):
            if self.rng.random() < 0.05:
                action = self.rng.integers(0, 2, 1)
            else:
                with torch.no_grad():
                    action = self.network(torch.as_tensor(self.seen)).argmax(-1).numpy()
            found, reward, terminated, truncated, more = self.environments.step(action)
            following = more["final_obs"][0] if terminated[0] or truncated[0] else found[0]
            row = (self.seen[0], action[0], reward[0], following, 0.99 * (1 - terminated[0]))
            for values, value in zip(self.rows, row):
                values[self.place % 10_000] = value
            self.place, self.seen = self.place + 1, found
            if self.place > self.batch and self.place % self.every == 0:
                before = time.perf_counter()
                self.learn()
                learning += time.perf_counter() - before
        return time.perf_counter() - start - learning, learning, self.count, self.count // self.every

    def learn(self):
        rows = self.rng.integers(0, min(self.place, 10_000), self.batch)
        seen, actions, rewards, following, discounts = (torch.as_tensor(x[rows]) for x in self.rows)
        with torch.no_grad():
            best = self.network(following).argmax(-1, keepdim=True)
            targets = rewards + discounts * self.target(following).gather(1, best).squeeze(1)
        values = self.network(seen).gather(1, actions.unsqueeze(1)).squeeze(1)
        loss = 0.5 * F.mse_loss(values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()
