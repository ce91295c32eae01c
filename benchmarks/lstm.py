"""Workload: one LSTM layer of 128 units reading 64 vectors of 128 numbers, ten classes, batches of 32."""

import numpy as np

NAME = "LSTM, 128 units, length 64, batch 32"
BATCH, LENGTH, DIM, UNITS, CLASSES = 32, 64, 128, 128, 10
STEPS, ROUNDS = 30, 10


def data(batches, seed=0):
    """Inputs `(n, t, d)` and classes `(n,)` for so many batches."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batches * BATCH, LENGTH, DIM)).astype("float32")
    return x, rng.integers(0, CLASSES, size=batches * BATCH).astype("int32")


def keras_model():
    import keras

    return keras.Sequential(
        [keras.Input((LENGTH, DIM)), keras.layers.LSTM(UNITS), keras.layers.Dense(CLASSES)]
    )


def torch_model():
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(DIM, UNITS, batch_first=True)
            self.head = nn.Linear(UNITS, CLASSES)

        def forward(self, x):
            outputs, _ = self.lstm(x)
            return self.head(outputs[:, -1])

    return Classifier()


def jax_model():
    """The initial parameters, and a function of parameters and inputs that gives `(logits, statistics)`."""
    import jax
    import jax.numpy as jnp

    def normal(seed, *shape):
        return jax.random.normal(jax.random.key(seed), shape) / shape[0] ** 0.5

    weights = {
        "kernel": normal(0, DIM, 4 * UNITS),
        "recurrent_kernel": normal(1, UNITS, 4 * UNITS),
        "bias": jnp.zeros(4 * UNITS),
        "head": normal(2, UNITS, CLASSES),
        "head_bias": jnp.zeros(CLASSES),
    }

    def apply(weights, statistics, x):
        projected = jnp.swapaxes(x @ weights["kernel"] + weights["bias"], 0, 1)  # (t, b, 4 u)

        def step(state, z):
            h, c = state
            i, f, g, o = jnp.split(z + h @ weights["recurrent_kernel"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((x.shape[0], UNITS))
        (h, _), _ = jax.lax.scan(step, (zeros, zeros), projected)
        return h @ weights["head"] + weights["head_bias"], statistics

    return weights, {}, apply
