"""Training steps of their own around any model: each a `kzoo.Learner`."""

from kzoo.learners.actor_critic import ActorCritic
from kzoo.learners.adversarial import AdversarialNetworks
from kzoo.learners.capsules import CapsuleNetwork
from kzoo.learners.diffusion import Diffusion
from kzoo.learners.dqn import DQN
from kzoo.learners.latent_space import LatentSpace
from kzoo.learners.ppo import PPO
from kzoo.learners.reinforce import Reinforce
from kzoo.learners.sharpness_aware import SharpnessAware
from kzoo.learners.vae import VariationalAutoencoder

__all__ = [
    "DQN",
    "PPO",
    "ActorCritic",
    "AdversarialNetworks",
    "CapsuleNetwork",
    "Diffusion",
    "LatentSpace",
    "Reinforce",
    "SharpnessAware",
    "VariationalAutoencoder",
]
