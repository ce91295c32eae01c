"""`Agent`: a learner that acts, with one compiled call for a step of all environments and one for what it learns."""

import keras
from keras import ops

from kzoo import backend
from kzoo.accelerate import accelerate
from kzoo.learner import Learner
from kzoo.ops.distributions import Categorical, DiagonalGaussian, distribution_of


class Agent(Learner):
    """A learner around a network that maps observations to what may be done.

    `act` and `learn` take and give NumPy arrays and are compiled on TensorFlow and JAX; `learn` does what
    `train_on_batch` does, without what Keras does around a step, which takes longer than the step of a small network.
    `learn(data, rows)` makes many steps in one call.

    To write, beside `update(data)`:
        decide(observations, draws): what is done and what must be known of it later, a dictionary of tensors.

    Args:
        network: a built model of the agent's kind.
    """

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(network, keras.Model) or not network.built:
            raise TypeError(f"{type(self).__name__} needs a built keras.Model. Received: network={network!r}")
        self.network = network

    def call(self, observations, training=False):
        return self.network(observations, training=training)

    def optimizer_targets(self, name):
        return self.network.trainable_variables

    def decide(self, observations, draws):
        raise TypeError(f"{type(self).__name__} must define decide(observations, draws)")

    def learning_step(self, data):
        """The logs of `update` and, where there is more to know of a batch, that too."""
        return self.update(data)

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        accelerate(self)
        self.__dict__["_programs"] = {}

    # ------------------------------------------------------------------ acting and learning

    def act(self, observations, draws):
        """One decision for each of n environments, in one call of the engine.

        Args:
            observations: `(n, …)`.
            draws: random numbers of `draw`.

        Returns:
            A dictionary of NumPy arrays `(n, …)`, among them `actions`.
        """
        return to_numpy(self._program("decide")(observations, draws))

    def learn(self, data, rows=None):
        """One step on a batch, or one for each part of it.

        Args:
            data: a dictionary of arrays of one length, as `update` takes it.
            rows: int32 `(n, m)`: the m places in the data of each of n steps.

        Returns:
            The logs as tensors of the engine, not waited for; with `rows` of all steps, `(n,)`.
        """
        program = self._program("learning_step")
        return program(data) if rows is None else program.over(data, rows)

    def _program(self, name):
        self._assert_compile_called(name)
        programs = self.__dict__["_programs"]
        if name not in programs:
            learning = name == "learning_step"
            variables = [*self.trainable_variables, *self.non_trainable_variables]
            variables += self.optimizer.variables if learning else []
            programs[name] = backend.Program(getattr(self, name), variables, changing=learning)
        return programs[name]

    # ------------------------------------------------------------------ files

    def get_config(self):
        return {"network": keras.saving.serialize_keras_object(self.network), "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})


class PolicyAgent(Agent):
    """An agent whose network gives a distribution over actions, and perhaps a value: see `kzoo.models.rl`."""

    def __init__(self, network, **kwargs):
        super().__init__(network, **kwargs)
        outputs = network.output if isinstance(network.output, dict) else {}
        if "logits" not in outputs and not {"mean", "log_std"} <= set(outputs):
            raise ValueError(
                f"{type(self).__name__} needs a network that gives a dictionary with logits, or with mean and "
                f"log_std. Received: {sorted(outputs) or network.output}"
            )
        self.continuous = "mean" in outputs
        self.has_value = "value" in outputs

    @property
    def num_actions(self):
        return self.network.output["mean" if self.continuous else "logits"].shape[-1]

    def draw(self, rng, n):
        """The random numbers of n decisions, of a NumPy generator."""
        kind = DiagonalGaussian if self.continuous else Categorical
        return kind.draws(rng, n, self.num_actions)

    def decide(self, observations, draws):
        outputs = outputs_of(self.network, observations)
        distribution = distribution_of(outputs)
        actions = distribution.sample(draws)
        found = {"actions": actions, "log_probs": distribution.log_prob(actions)}
        return found | ({"values": outputs["value"]} if self.has_value else {})

    def best(self, observations):
        """The likeliest actions, as NumPy: for evaluation."""
        return to_numpy(self._program("likeliest")(observations))["actions"]

    def likeliest(self, observations):
        return {"actions": distribution_of(outputs_of(self.network, observations)).mode()}

    def values(self, observations):
        """What observations `(n, …)` are worth: NumPy `(n,)`."""
        return to_numpy(self._program("appraise")(observations))["values"]

    def appraise(self, observations):
        return {"values": outputs_of(self.network, observations)["value"]}


def outputs_of(network, observations, training=False):
    """What a network gives, without what Keras asks around a model's `call`: of a small one, most of the time."""
    return network.call(observations, training=training)


def to_numpy(tensors):
    return {name: ops.convert_to_numpy(tensor) for name, tensor in tensors.items()}
