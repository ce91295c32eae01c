"""A training of an agent for `test_rl_resume.py`, which kills it: `python interrupted.py KIND FOLDER OUT.json`."""

import json
import sys

import keras

import kzoo
from kzoo import rl
from kzoo.learners import DQN, PPO
from kzoo.models.rl import actor_critic, q_network

STEPS, EVERY = 400, 80


def loop_of(kind):
    """A fresh loop on CartPole."""
    kzoo.set_seed(0)
    environments = rl.Environments("CartPole-v1", 2, seed=0)
    if kind == "ppo":
        agent = PPO(actor_critic((4,), 2, hidden_dims=(8,)))
        agent.compile(keras.optimizers.Adam(1e-3))
        return rl.OnPolicy(agent, environments, length=8, epochs=2, minibatches=2)
    agent = DQN(q_network((4,), 2, hidden_dims=(8,)))
    agent.compile(keras.optimizers.Adam(1e-3))
    replay = rl.PrioritisedReplay(100, (4,), n_step=3, num_environments=2)
    return rl.OffPolicy(agent, environments, replay, total=STEPS, batch_size=8, begin=20, every=8, renew=50)


def train(kind, folder=None):
    """The history without times, and the sums of the weights."""
    loop = loop_of(kind)
    history = rl.train(loop, STEPS, folder=folder, every=EVERY, report=40)
    weights = [float(abs(weight).sum()) for weight in loop.agent.get_weights()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history], weights


if __name__ == "__main__":
    kind, folder, out = sys.argv[1:]
    result = train(kind, folder)
    with open(out, "w") as file:
        json.dump(result, file)
