"""A2C: a policy's gradient by the advantages that its own value sees, from all environments at once."""

import keras
from keras import ops

from kzoo.learners.agent import PolicyAgent, outputs_of
from kzoo.ops.distributions import distribution_of


@keras.saving.register_keras_serializable("kzoo")
class ActorCritic(PolicyAgent):
    """Descends `-mean(log π(a|s) A) + c mean((V(s) - G)²) - e mean(entropy)`.

    ```python
    agent = kzoo.learners.ActorCritic(kzoo.models.rl.actor_critic((4,), 2))
    agent.compile(keras.optimizers.RMSprop(7e-4, rho=0.99, epsilon=1e-5, global_clipnorm=0.5))
    ```

    `update` takes a dictionary of arrays of one length: `observations`, `actions`, `advantages` and `returns`, as
    `kzoo.rl.Rollouts` collects them.

    Source: Mnih et al. (2016), arXiv:1602.01783, whose workers here take their steps together.

    Args:
        network: `kzoo.models.rl.actor_critic` with a value.
        entropy_weight: e.
        value_weight: c.
        normalise: whether advantages are brought to mean 0 and deviation 1 over the batch.
    """

    def __init__(self, network, entropy_weight=0.01, value_weight=0.5, normalise=False, **kwargs):
        super().__init__(network, **kwargs)
        if not self.has_value:
            raise ValueError(f"{type(self).__name__} needs a network with a value: actor_critic(value=True)")
        self.entropy_weight, self.value_weight, self.normalise = entropy_weight, value_weight, normalise

    def update(self, data):
        _, logs = self.minimize(lambda: self.loss_of(data), self.network.trainable_variables, has_aux=True)
        return logs

    def loss_of(self, data):
        """The loss of a batch, and the logs."""
        outputs = outputs_of(self.network, data["observations"], training=True)
        distribution = distribution_of(outputs)
        advantages = data["advantages"]
        if self.normalise:
            advantages = (advantages - ops.mean(advantages)) / (ops.std(advantages) + 1e-8)
        logs = self.parts(distribution.log_prob(data["actions"]), outputs["value"], advantages, data)
        logs["entropy"] = ops.mean(distribution.entropy())
        loss = logs["policy_loss"] + self.value_weight * logs["value_loss"]
        loss = loss - self.entropy_weight * logs["entropy"]
        return loss, {"loss": loss, **logs}

    def parts(self, log_probs, values, advantages, data):
        """The policy's loss and the value's, by name."""
        return {
            "policy_loss": -ops.mean(log_probs * advantages),
            "value_loss": ops.mean(ops.square(values - data["returns"])),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "entropy_weight": self.entropy_weight,
            "value_weight": self.value_weight,
            "normalise": self.normalise,
        }
