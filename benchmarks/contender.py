"""One contender in its own process: makes the model of a workload, then runs steps when told to.

`python contender.py lstm torch accelerated` reads a number of steps per line of its standard input and
answers with a line of JSON: the milliseconds per step. The first step of every round is left out, since
starting a round (making Keras's iterators, for instance) is not part of a step.
"""

import json
import os
import sys
import time
from pathlib import Path

KINDS = ("plain", "accelerated", "native")


def keras_contender(workload, accelerated):
    """A function of a number of steps: one epoch of `fit` with so many batches. Gives seconds per step."""
    import keras

    model = workload.keras_model()
    note = ""
    if accelerated:
        from kzoo.accelerate import accelerate

        note = accelerate(model).summary
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.ended = time.perf_counter()

    def run(steps):
        clock, (x, y) = Clock(), workload.data(steps + 1)
        model.fit(x, y, batch_size=workload.BATCH, shuffle=False, verbose=0, callbacks=[clock])
        return (clock.ended - clock.started) / steps

    return run, note


def torch_contender(workload):
    import torch
    from torch.nn import functional as F

    torch.manual_seed(0)
    model = workload.torch_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run(steps):
        x, y = (torch.as_tensor(array) for array in workload.data(steps + 1))
        y = y.long()
        if x.ndim == 4:
            x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        total = torch.zeros(())
        for step in range(steps + 1):
            if step == 1:
                started = time.perf_counter()
            batch = slice(step * workload.BATCH, (step + 1) * workload.BATCH)
            logits = model(x[batch])
            loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y[batch].reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()
        return (time.perf_counter() - started) / steps

    return run, ""


def jax_contender(workload):
    import jax
    import jax.numpy as jnp

    weights, statistics, apply = workload.jax_model()
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, statistics, zeros, zeros, 0.0)

    def loss_of(weights, statistics, x, y):
        logits, statistics = apply(weights, statistics, x)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1)
        return -picked.mean(), statistics

    @jax.jit
    def step(state, x, y):
        weights, statistics, m, v, count = state
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, statistics), gradients = differentiate(weights, statistics, x, y)
        count = count + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
        return (weights, statistics, m, v, count), loss

    def run(steps):
        nonlocal state
        x, y = workload.data(steps + 1)
        for index in range(steps + 1):
            batch = slice(index * workload.BATCH, (index + 1) * workload.BATCH)
            state, loss = step(state, x[batch], y[batch])
            if index == 0:
                loss.block_until_ready()
                started = time.perf_counter()
        jax.block_until_ready(state)
        return (time.perf_counter() - started) / steps

    return run, ""


def main(workload, engine, kind):
    os.environ["KERAS_BACKEND"] = engine
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parent)]
    answers, sys.stdout = sys.stdout, sys.stderr
    from workloads import WORKLOADS

    workload = WORKLOADS[workload]
    if kind == "native":
        run, note = {"torch": torch_contender, "jax": jax_contender}[engine](workload)
    else:
        run, note = keras_contender(workload, kind == "accelerated")
    for line in sys.stdin:
        answer = {"ms": 1000 * run(int(line)), "note": note}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
