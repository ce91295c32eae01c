"""REINFORCE: make what was done likelier, by as much as came of it."""

import keras
from keras import ops

from kzoo.learners.agent import PolicyAgent, outputs_of
from kzoo.ops.distributions import distribution_of


@keras.saving.register_keras_serializable("kzoo")
class Reinforce(PolicyAgent):
    """Descends `-mean(log π(a|s) (G - b(s)))`, with the network's value as baseline b if it has one.

    ```python
    agent = kzoo.learners.Reinforce(kzoo.models.rl.actor_critic((4,), 2))
    agent.compile(keras.optimizers.Adam(1e-3))
    agent.learn(episodes)
    ```

    `update` takes a dictionary of arrays of one length: `observations`, `actions`, `returns` and `weights`, 0 for
    steps that only fill up. The baseline is fitted to the returns by least squares and moves no policy weight that it
    does not share.

    Source: Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning.

    Args:
        network: `kzoo.models.rl.actor_critic`, with a value or without.
        normalise: whether what is weighed with is brought to mean 0 and deviation 1 over the batch.
        entropy_weight: how much the distribution's entropy counts.
        value_weight: how much the baseline's error counts.
    """

    def __init__(self, network, normalise=True, entropy_weight=0.0, value_weight=0.5, **kwargs):
        super().__init__(network, **kwargs)
        self.normalise, self.entropy_weight, self.value_weight = normalise, entropy_weight, value_weight

    def update(self, data):
        _, logs = self.minimize(lambda: self._loss(data), self.network.trainable_variables, has_aux=True)
        return logs

    def _loss(self, data):
        outputs = outputs_of(self.network, data["observations"], training=True)
        distribution, returns = distribution_of(outputs), data["returns"]
        weights = data["weights"] / ops.sum(data["weights"])
        advantages = returns
        if self.has_value:
            advantages = returns - ops.stop_gradient(outputs["value"])
        if self.normalise:
            centred = advantages - ops.sum(weights * advantages)
            advantages = centred / (ops.sqrt(ops.sum(weights * ops.square(centred))) + 1e-8)
        policy_loss = -ops.sum(weights * distribution.log_prob(data["actions"]) * advantages)
        entropy = ops.sum(weights * distribution.entropy())
        loss = policy_loss - self.entropy_weight * entropy
        logs = {"policy_loss": policy_loss, "entropy": entropy}
        if self.has_value:
            value_loss = ops.sum(weights * ops.square(outputs["value"] - returns))
            loss = loss + self.value_weight * value_loss
            logs["value_loss"] = value_loss
        return loss, {"loss": loss, **logs}

    def get_config(self):
        return {
            **super().get_config(),
            "normalise": self.normalise,
            "entropy_weight": self.entropy_weight,
            "value_weight": self.value_weight,
        }
