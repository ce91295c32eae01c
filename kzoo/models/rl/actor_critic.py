"""A policy and, beside it, a value: the networks of REINFORCE, A2C and PPO.

Paper: Schulman et al. (2017), Proximal Policy Optimization Algorithms, arXiv:1707.06347; the orthogonal weights are
those of its code (Andrychowicz et al. 2021, arXiv:2006.05990, and Huang et al. 2022 list what matters of it).

Shapes: b observations, a actions.
"""

import math

import keras
from keras import layers

from kzoo.layers import Bias
from kzoo.models.rl.nature_cnn import nature_cnn


def actor_critic(
    observation_shape,
    num_actions,
    *,
    continuous=False,
    hidden_dims=(64, 64),
    activation="tanh",
    value=True,
    seed=None,
    name="actor_critic",
):
    """What to do and what it is worth: observations `(b, …)` to a dictionary.

    `logits` `(b, a)`, or of continuous actions `mean` and `log_std` `(b, a)`; with a value, `value` `(b,)`. Vectors go
    through networks of their own for policy and value, images through one convolutional network for both. The standard
    deviation is learned and does not depend on the observation.

    Args:
        observation_shape: `(d,)`, or `(h, w, c)` of images with values from 0 to 255.
        num_actions: a.
        continuous: whether actions are vectors instead of choices.
        hidden_dims: widths of the layers for vectors.
        activation: of these.
        value: whether there is a value.
        seed: of the weights.
        name: the model's.
    """
    _check(observation_shape, num_actions)
    seeds = iter(range(seed, seed + 100)) if seed is not None else iter(lambda: None, 0)

    def orthogonal(gain):
        return keras.initializers.Orthogonal(gain, seed=next(seeds))

    def dense(x, units, gain, name, **options):
        return layers.Dense(units, name=name, kernel_initializer=orthogonal(gain), **options)(x)

    def body(x, part):
        for place, width in enumerate(hidden_dims, 1):
            x = dense(x, width, math.sqrt(2), f"{part}_{place}", activation=activation)
        return x

    inputs = keras.Input(observation_shape, name="observations")
    if len(observation_shape) == 3:
        shared = nature_cnn(inputs, kernel_initializer=orthogonal(math.sqrt(2)))
        policy_features = value_features = shared
    else:
        policy_features = body(inputs, "policy")
        value_features = body(inputs, "value") if value else None
    x = dense(policy_features, num_actions, 0.01, "mean" if continuous else "logits")
    outputs = {"mean": x} if continuous else {"logits": x}
    if continuous:
        outputs["log_std"] = Bias(name="log_std")(layers.Rescaling(0.0, name="nothing")(x))
    if value:
        x = dense(value_features, 1, 1.0, "value_head")
        outputs["value"] = layers.Reshape((), name="value")(x)  # (b,)
    return keras.Model(inputs, outputs, name=name)


def policy_of(network, mean=None, variance=None, epsilon=1e-8, limit=10.0, name="policy"):
    """The part of a network that acts, for export: observations to `logits`, `mean` or action values.

    Args:
        network: made by `actor_critic` or `q_network`.
        mean, variance: of the observations, if it was trained on normalised ones: the policy then takes raw ones.
        epsilon: what was added to the variance.
        limit: where normalised observations were clipped.
        name: the model's.
    """
    outputs = network.output
    if isinstance(outputs, dict):
        outputs = outputs["logits"] if "logits" in outputs else outputs["mean"]
    inner = keras.Model(network.input, outputs, name=name)
    if mean is None:
        return inner
    inputs = keras.Input(network.input_shape[1:], name="observations")
    x = layers.Rescaling(1.0, offset=(-mean).tolist(), name="centre")(inputs)
    x = layers.Rescaling((1.0 / (variance + epsilon) ** 0.5).tolist(), name="scale")(x)
    x = keras.ops.clip(x, -limit, limit)
    return keras.Model(inputs, inner(x), name=name)


def _check(observation_shape, num_actions):
    if len(observation_shape) not in (1, 3):
        raise ValueError(
            f"observations must be vectors (d,) or images (h, w, c). Received: {tuple(observation_shape)}"
        )
    if not num_actions > 0:
        raise ValueError(f"num_actions must be above 0. Received: num_actions={num_actions!r}")
