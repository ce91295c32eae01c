"""PPO: several steps on the same experience, stopped where the policy would leave what it has tried."""

import keras
from keras import ops

from kzoo.learners.actor_critic import ActorCritic


@keras.saving.register_keras_serializable("kzoo")
class PPO(ActorCritic):
    """Descends `-mean(min(r A, clip(r, 1 - ε, 1 + ε) A))` with `r = π(a|s) / π_old(a|s)`, value and entropy as in A2C.

    ```python
    agent = kzoo.learners.PPO(kzoo.models.rl.actor_critic((4,), 2))
    agent.compile(keras.optimizers.Adam(2.5e-4, epsilon=1e-5, global_clipnorm=0.5))
    ```

    Beside A2C's, the data has `log_probs` and `values` as they were when it was collected. The value's loss is half of
    the squared error, as in the paper's code.

    Source: Schulman et al. (2017), arXiv:1707.06347, equations 7 and 9.

    Args:
        network: `kzoo.models.rl.actor_critic` with a value.
        clip: ε.
        value_clip: how far a value may move from the old one and still be pulled further, `None` for any.
        entropy_weight, value_weight: how much these count.
        normalise: whether advantages are brought to mean 0 and deviation 1 over each minibatch.
    """

    def __init__(
        self,
        network,
        clip=0.2,
        value_clip=0.2,
        entropy_weight=0.01,
        value_weight=0.5,
        normalise=True,
        **kwargs,
    ):
        super().__init__(network, entropy_weight, value_weight, normalise, **kwargs)
        if not clip > 0 or (value_clip is not None and not value_clip > 0):
            raise ValueError(f"clip and value_clip must be above 0. Received: {clip=}, {value_clip=}")
        self.clip, self.value_clip = clip, value_clip

    def parts(self, log_probs, values, advantages, data):
        difference = log_probs - data["log_probs"]
        ratio = ops.exp(difference)
        clipped = ops.clip(ratio, 1.0 - self.clip, 1.0 + self.clip)
        error = ops.square(values - data["returns"])
        if self.value_clip is not None:
            old = data["values"]
            near = old + ops.clip(values - old, -self.value_clip, self.value_clip)
            error = ops.maximum(error, ops.square(near - data["returns"]))
        outside = ops.cast(ops.greater(ops.abs(ratio - 1.0), self.clip), ratio.dtype)
        return {
            "policy_loss": -ops.mean(ops.minimum(ratio * advantages, clipped * advantages)),
            "value_loss": 0.5 * ops.mean(error),
            "divergence": ops.mean(ratio - 1.0 - difference),
            "clipped": ops.mean(outside),
        }

    def get_config(self):
        return {**super().get_config(), "clip": self.clip, "value_clip": self.value_clip}
