"""Networks of agents: policies, values and action values.

They are not in the catalogue: a catalogue's name stands for a published size, and these take theirs from the
environment's spaces.
"""

from kzoo.models.rl.actor_critic import actor_critic, policy_of
from kzoo.models.rl.nature_cnn import nature_cnn
from kzoo.models.rl.q_network import q_network

__all__ = ["actor_critic", "nature_cnn", "policy_of", "q_network"]
