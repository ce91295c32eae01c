"""Optimizers and schedules for the parity gate: name to a function that makes one."""

import keras
import numpy as np
from agents import agent_of, batch_for
from cases.diffusion import DIFFUSION
from cases.generative import GENERATIVE

import kzoo
from kzoo.optimizers import schedules


def _fall():
    return schedules.OneCycle(0.1, 11, rise=0.05)


OPTIMIZERS = {
    "NamedOptimizers": lambda: kzoo.optimizers.NamedOptimizers(
        {"first": keras.optimizers.Adam(0.1, clipnorm=1.0), "second": keras.optimizers.SGD(0.1, momentum=0.9)}
    ),
    "LayerwiseLearningRates": lambda: kzoo.optimizers.LayerwiseLearningRates(
        keras.optimizers.SGD(0.1), {"v*": 0.25, "b*": 0.0}
    ),
    "Lookahead": lambda: kzoo.optimizers.Lookahead(keras.optimizers.SGD(0.1), sync_period=2),
    "NormalizedGradient": lambda: kzoo.optimizers.NormalizedGradient(keras.optimizers.SGD(0.1)),
}


def _sharpness_aware(adaptive):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(2)]
    )
    learner = kzoo.learners.SharpnessAware(model, rho=0.3, adaptive=adaptive)
    learner.compile(keras.optimizers.SGD(0.1), loss="mse")
    rng = np.random.default_rng(0)
    return learner, (rng.normal(size=(12, 4)), rng.normal(size=(12, 2)))


def _capsules():
    sizes = dict(filters=3, kernel_size=3, primary_capsules=2, primary_dim=4, dim=4, decoder=(6, 8))
    model = kzoo.create_model("capsnet", image_shape=(7, 6, 2), num_classes=3, reconstruction=True, **sizes)
    learner = kzoo.learners.CapsuleNetwork(model, reconstruction_weight=0.01)
    learner.compile(keras.optimizers.SGD(0.1))
    rng = np.random.default_rng(0)
    return learner, (rng.uniform(size=(12, 7, 6, 2)), rng.integers(0, 3, 12))


def _agent(kind):
    return agent_of(kind, keras.optimizers.SGD(0.05)), batch_for(kind)


# Each makes a compiled learner and the data of a `fit`, and may say how to `fit`.
LEARNERS = {
    "ActorCritic": lambda: _agent("actor_critic"),
    "CapsuleNetwork": _capsules,
    "DQN": lambda: _agent("dqn"),
    "DQN, duelling": lambda: _agent("dqn_duelling"),
    "PPO": lambda: _agent("ppo"),
    "PPO, continuous": lambda: _agent("ppo_continuous"),
    "Reinforce": lambda: _agent("reinforce"),
    "Reinforce, without a baseline": lambda: _agent("reinforce_plain"),
    "SharpnessAware": lambda: _sharpness_aware(False),
    "SharpnessAware, adaptive": lambda: _sharpness_aware(True),
    **DIFFUSION,
    **GENERATIVE,
}
SCHEDULES = {
    "Chain": lambda: schedules.Chain([0.1, _fall(), 0.01], [5, 15]),
    "Cyclical": lambda: schedules.Cyclical(0.01, 0.1, 4),
    "Cyclical, triangular2": lambda: schedules.Cyclical(0.01, 0.1, 4, "triangular2"),
    "Cyclical, exp_range": lambda: schedules.Cyclical(0.01, 0.1, 4, "exp_range", gamma=0.9),
    "Noam": lambda: schedules.Noam(512, 10),
    "OneCycle": lambda: schedules.OneCycle(0.1, 30),
    "OneCycle, linear": lambda: schedules.OneCycle(0.1, 30, anneal="linear"),
    "Restarts": lambda: schedules.Restarts(_fall(), 10, length=1.5, height=0.8),
    "Stretched": lambda: schedules.Stretched(_fall(), 3),
    "Warmup": lambda: schedules.Warmup(_fall(), 5),
}
