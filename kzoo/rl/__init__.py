"""Agents among environments: a room for what happens outside the network.

`kzoo.learners` has the agents' updates, `kzoo.models.rl` their networks. Here they live through something: Gymnasium's
environments stepped together, replay buffers, the training loop with its checkpoints, evaluation and films. It needs
`pip install 'kzoo[rl]'`.
"""

from kzoo.rl.asynchronous import Asynchronous
from kzoo.rl.film import film
from kzoo.rl.loops import OffPolicy, OnPolicy, WholeEpisodes
from kzoo.rl.replay import PrioritisedReplay, Replay
from kzoo.rl.rollout import Environments, Episodes, Rollouts
from kzoo.rl.seeds import run_seeds
from kzoo.rl.training import Checkpoints, evaluate, train
from kzoo.rl.wrappers import make

__all__ = [
    "Asynchronous",
    "Checkpoints",
    "Environments",
    "Episodes",
    "OffPolicy",
    "OnPolicy",
    "PrioritisedReplay",
    "Replay",
    "Rollouts",
    "WholeEpisodes",
    "evaluate",
    "film",
    "make",
    "run_seeds",
    "train",
]
