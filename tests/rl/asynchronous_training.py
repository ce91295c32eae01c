"""A training by a worker that goes on until it is killed: `python asynchronous_training.py PIDS`.

The file has the worker's process, once it has moved the weights.
"""

import multiprocessing
import os
import sys
from pathlib import Path

import keras

from kzoo import rl
from kzoo.learners import ActorCritic
from kzoo.models.rl import actor_critic

if __name__ == "__main__":
    agent = ActorCritic(actor_critic((4,), 2, hidden_dims=(8,)))
    agent.compile(keras.optimizers.SGD(0.0))
    loop = rl.Asynchronous(agent, "CartPole-v1", total=10**9, workers=1)
    out = Path(sys.argv[1])
    while True:
        loop.advance()
        if loop.steps > 1000 and not out.exists():
            aside = out.with_suffix(".aside")
            aside.write_text(" ".join(str(one.pid) for one in multiprocessing.active_children()))
            os.replace(aside, out)
