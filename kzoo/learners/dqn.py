"""DQN: action values pulled towards what came of the action and the value after it."""

import keras
import numpy as np
from keras import ops

from kzoo.backend.state import tensorflow_left_out
from kzoo.learners.agent import Agent, outputs_of, to_numpy


@keras.saving.register_keras_serializable("kzoo")
class DQN(Agent):
    """Descends half the square of `Q(s, a) - (r + γ Q'(s', a'))`, Q' being a copy that is renewed from time to time.

    ```python
    agent = kzoo.learners.DQN(kzoo.models.rl.q_network((4,), 2))
    agent.compile(keras.optimizers.Adam(2.5e-4))
    logs = agent.learn(replay.sample(128, rng))
    agent.renew_target()
    ```

    `update` takes a dictionary of arrays of one length: `observations`, `actions`, `rewards`, `next_observations`,
    `discounts` (γ, after n steps γⁿ, 0 where the episode terminated) and `weights`, by which prioritised replay makes
    good for its choice. `learn` gives beside the logs `errors`, |Q - target| per row: the new priorities.

    Source: Mnih et al. (2015), Nature 518; double: van Hasselt et al. (2016), arXiv:1509.06461; priorities: Schaul et
    al. (2016), arXiv:1511.05952. Duelling is the network's.

    Args:
        network: `kzoo.models.rl.q_network`.
        double: whether the network chooses a' and the copy values it.
        error_clip: errors beyond it pull with this strength only (Huber's loss): 1 in the paper, whose rewards lie
            between -1 and 1. Where values are large the rare ends of episodes then no longer count, and values grow
            without bound (CartPole): `None`, the square, is right there.
    """

    def __init__(self, network, double=True, error_clip=None, **kwargs):
        super().__init__(network, **kwargs)
        if isinstance(network.output, dict) or len(network.output.shape) != 2:
            raise ValueError(f"DQN needs a network that gives (b, actions). Received: {network.output}")
        self.double, self.error_clip = double, error_clip
        with tensorflow_left_out():
            self.target = keras.models.clone_model(network)
        self.target.trainable = False
        self.renew_target()

    @property
    def num_actions(self):
        return self.network.output.shape[-1]

    def renew_target(self):
        """Copies the network's weights into the target's."""
        self.target.set_weights(self.network.get_weights())

    def update(self, data):
        logs = self.learning_step(data)
        del logs["errors"]
        return logs

    def learning_step(self, data):
        """One step: the logs, and `errors` `(b,)`."""
        targets = self.targets(data)

        def loss():
            values = outputs_of(self.network, data["observations"], training=True)
            chosen = ops.one_hot(data["actions"], self.num_actions, dtype=values.dtype)
            values = ops.sum(values * chosen, axis=-1)
            errors = ops.abs(values - targets)
            losses = 0.5 * ops.square(errors)
            if self.error_clip is not None:
                limit = self.error_clip
                losses = ops.where(errors < limit, losses, limit * (errors - 0.5 * limit))
            return ops.mean(data["weights"] * losses), (errors, ops.mean(values))

        value, (errors, mean) = self.minimize(loss, self.network.trainable_variables, has_aux=True)
        return {"loss": value, "value": mean, "errors": errors}

    def targets(self, data):
        """`r + γ Q'(s', a')`, with a' chosen by the network (double) or by the copy itself."""
        following = outputs_of(self.target, data["next_observations"])
        chooser = outputs_of(self.network, data["next_observations"]) if self.double else following
        best = ops.one_hot(ops.argmax(chooser, axis=-1), self.num_actions, dtype=following.dtype)
        return data["rewards"] + data["discounts"] * ops.sum(following * best, axis=-1)

    def decide(self, observations):
        values = outputs_of(self.network, observations)
        return {"actions": ops.cast(ops.argmax(values, axis=-1), "int32")}

    def best(self, observations):
        """The actions of the highest values, as NumPy `(n,)`."""
        return to_numpy(self._program("decide")(observations))["actions"]

    def draw(self, rng, n):
        """A share from 0 to 1 and an action for each of n environments, for `act`."""
        return rng.random(n), rng.integers(0, self.num_actions, n)

    def act(self, observations, draws, exploring=0.0):
        """The best actions, or with the probability `exploring` drawn ones: NumPy `(n,)` under `actions`."""
        shares, drawn = draws
        explore = shares < exploring
        if explore.all():  # as at the beginning: nothing to compute
            return {"actions": drawn}
        return {"actions": np.where(explore, drawn, self.best(observations))}

    def get_config(self):
        return {**super().get_config(), "double": self.double, "error_clip": self.error_clip}
