"""What each action is worth: the network of DQN, duelling on demand.

Paper: Mnih et al. (2015), Nature 518; duelling: Wang et al. (2016), arXiv:1511.06581, equation 9.

Shapes: b observations, a actions.
"""

import keras
from keras import layers, ops

from kzoo.models.rl.nature_cnn import nature_cnn


def q_network(
    observation_shape,
    num_actions,
    *,
    hidden_dims=(120, 84),
    activation="relu",
    duelling=False,
    name="q_network",
):
    """Action values: observations `(b, …)` to `(b, a)`.

    Args:
        observation_shape: `(d,)`, or `(h, w, c)` of images with values from 0 to 255.
        num_actions: a.
        hidden_dims: widths of the layers for vectors.
        activation: of these.
        duelling: whether a value and advantages are learned apart: `Q = V + A - mean A`.
        name: the model's.
    """
    if len(observation_shape) not in (1, 3) or not num_actions > 0:
        raise ValueError(
            "q_network needs vectors (d,) or images (h, w, c), and actions. "
            f"Received: observation_shape={tuple(observation_shape)}, num_actions={num_actions!r}"
        )
    inputs = x = keras.Input(observation_shape, name="observations")
    if len(observation_shape) == 3:
        x = nature_cnn(inputs, kernel_initializer="he_uniform")
    else:
        for place, width in enumerate(hidden_dims, 1):
            x = layers.Dense(width, activation, name=f"dense_{place}")(x)
    values = layers.Dense(num_actions, name="advantages" if duelling else "values")(x)
    if duelling:
        advantages = values - ops.mean(values, axis=-1, keepdims=True)
        values = layers.Add(name="values")([layers.Dense(1, name="value")(x), advantages])
    return keras.Model(inputs, values, name=name)
