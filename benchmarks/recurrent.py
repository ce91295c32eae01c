"""Workloads: one recurrent layer of 128 units reading 64 vectors of 128 numbers, ten classes, batches of 32."""

import numpy as np

BATCH, LENGTH, DIM, UNITS, CLASSES = 32, 64, 128, 128, 10


class Recurrent:
    """An LSTM or a GRU, in one direction or in both."""

    STEPS, ROUNDS = 30, 10
    BATCH = BATCH

    def __init__(self, cell, both=False):
        self.cell, self.both = cell, both
        self.NAME = f"{'Bi' * both}{cell}, {UNITS} units, length {LENGTH}, batch {BATCH}"

    def data(self, batches, seed=0):
        """Inputs `(n, t, d)` and classes `(n,)` for so many batches."""
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(batches * BATCH, LENGTH, DIM)).astype("float32")
        return x, rng.integers(0, CLASSES, size=batches * BATCH).astype("int32")

    def keras_model(self):
        import keras
        from keras import layers

        layer = getattr(layers, self.cell)(UNITS)
        layer = layers.Bidirectional(layer) if self.both else layer
        return keras.Sequential([keras.Input((LENGTH, DIM)), layer, layers.Dense(CLASSES)])

    def torch_model(self):
        import torch
        from torch import nn

        cell, both = self.cell, self.both

        class Classifier(nn.Module):
            def __init__(self):
                super().__init__()
                self.recurrent = getattr(nn, cell)(DIM, UNITS, batch_first=True, bidirectional=both)
                self.head = nn.Linear((1 + both) * UNITS, CLASSES)

            def forward(self, x):
                outputs, _ = self.recurrent(x)
                last = outputs[:, -1, :UNITS]
                return self.head(torch.cat([last, outputs[:, 0, UNITS:]], 1) if both else last)

        return Classifier()

    def jax_model(self):
        """The initial parameters, and a function of parameters and inputs that gives `(logits, statistics)`."""
        import jax
        import jax.numpy as jnp

        step, gates = {"LSTM": (_lstm, 4), "GRU": (_gru, 3)}[self.cell]
        seeds = iter(range(5))

        def normal(*shape):
            return jax.random.normal(jax.random.key(next(seeds)), shape) / shape[0] ** 0.5

        directions = [
            {
                "kernel": normal(DIM, gates * UNITS),
                "recurrent_kernel": normal(UNITS, gates * UNITS),
                "bias": jnp.zeros(gates * UNITS),
                "recurrent_bias": jnp.zeros(gates * UNITS),
            }
            for _ in range(1 + self.both)
        ]
        head = {"kernel": normal((1 + self.both) * UNITS, CLASSES), "bias": jnp.zeros(CLASSES)}

        def read(weights, x):
            """The last state, `(b, u)`, of one direction over `(t, b, d)`."""
            projected = x @ weights["kernel"] + weights["bias"]
            zeros = jnp.zeros((x.shape[1], UNITS))
            (h, _), _ = jax.lax.scan(
                lambda state, z: (step(weights, z, *state), None), (zeros, zeros), projected
            )
            return h

        def apply(weights, statistics, x):
            forwards = jnp.swapaxes(x, 0, 1)
            ways = (forwards, forwards[::-1])
            states = [read(w, way) for w, way in zip(weights["directions"], ways)]
            return jnp.concatenate(states, 1) @ weights["head"]["kernel"] + weights["head"][
                "bias"
            ], statistics

        return {"directions": directions, "head": head}, {}, apply


def _lstm(weights, z, h, c):
    import jax
    import jax.numpy as jnp

    i, f, g, o = jnp.split(z + h @ weights["recurrent_kernel"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(weights, z, h, unused):
    import jax
    import jax.numpy as jnp

    inner = h @ weights["recurrent_kernel"] + weights["recurrent_bias"]
    (update, reset, new), (u, r, n) = (jnp.split(x, 3, axis=-1) for x in (z, inner))
    update, reset = jax.nn.sigmoid(update + u), jax.nn.sigmoid(reset + r)
    return update * h + (1 - update) * jnp.tanh(new + reset * n), unused
