"""Training steps of their own around any model: each a `kzoo.Learner`."""

from kzoo.learners.capsules import CapsuleNetwork
from kzoo.learners.sharpness_aware import SharpnessAware

__all__ = ["CapsuleNetwork", "SharpnessAware"]
