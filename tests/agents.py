"""What the tests of agents share: agents with drawn weights, and batches."""

import keras
import numpy as np
from learners import set_weights_by_rule

from kzoo.learners import DQN, PPO, ActorCritic, Reinforce
from kzoo.models.rl import actor_critic, q_network

KINDS = ("reinforce", "reinforce_plain", "actor_critic", "ppo", "ppo_continuous", "dqn", "dqn_duelling")


def agent_of(kind, optimizer=None, hidden_dims=(6, 5)):
    """A compiled agent whose weights are the same on every engine."""
    small = dict(hidden_dims=hidden_dims)
    if kind.startswith("dqn"):
        kinds = dict(double=True) if kind == "dqn" else dict(double=False, error_clip=1.0)
        agent = DQN(q_network((3,), 2, duelling=kind == "dqn_duelling", **small), **kinds)
        set_weights_by_rule(agent.network)
        weights = agent.network.get_weights()
        agent.target.set_weights([0.8 * weight for weight in weights])
    elif kind.startswith("reinforce"):
        agent = Reinforce(actor_critic((3,), 2, value=kind == "reinforce", **small), entropy_weight=0.02)
    elif kind == "actor_critic":
        agent = ActorCritic(actor_critic((3,), 2, **small))
    else:
        agent = PPO(actor_critic((3,), 2, continuous=kind == "ppo_continuous", **small))
    set_weights_by_rule(agent.network)
    agent.compile(optimizer or keras.optimizers.Adam(0.01, global_clipnorm=0.5))
    return agent


def batch_for(kind, n=12, seed=0):
    """A batch as the agent's `update` takes it."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype("float32")

    data = {"observations": normal(n, 3), "actions": rng.integers(0, 2, n).astype("int32")}
    if kind == "ppo_continuous":
        data["actions"] = normal(n, 2)
    if kind.startswith("dqn"):
        discounts = (0.9 * rng.integers(0, 2, n)).astype("float32")
        weights = rng.uniform(0.2, 1.0, n).astype("float32")
        return data | dict(
            rewards=3 * normal(n), next_observations=normal(n, 3), discounts=discounts, weights=weights
        )
    if kind.startswith("reinforce"):
        return data | dict(returns=normal(n), weights=(np.arange(n) < n - 2).astype("float32"))
    data |= dict(advantages=normal(n), returns=normal(n))
    if kind.startswith("ppo"):
        log_probs = 0.3 * normal(n) - 0.7
        if kind == "ppo_continuous":  # about those of a standard normal distribution
            log_probs = log_probs - 0.5 * np.square(data["actions"]).sum(-1) - 1.1
        data |= dict(log_probs=log_probs, values=normal(n))
    return data
