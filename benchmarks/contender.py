"""One contender in its own process: makes the model of a workload, then runs steps when told to.

`python contender.py lstm torch accelerated` reads a number of steps per line of its standard input and
answers with a line of JSON: the milliseconds per step. The first step of every round is left out, since
starting a round (making Keras's iterators, for instance) is not part of a step.

A workload is a module with `NAME`, `BATCH`, `STEPS`, `ROUNDS` and `data(batches)`, the arrays of so many batches. A
classifier gives `keras_model()`, `torch_model()` and `jax_model()`, and is trained on cross-entropy by Adam. Any other
training step gives
    keras_learner()  a compiled model or `kzoo.Learner`; `fit` takes the arrays
    torch_step()     a function of a batch's tensors, images channels first, that makes a step and returns the loss
    jax_step()       the first state and a function `(state, *batch) -> (state, loss)`, which is compiled here
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

    own = hasattr(workload, "keras_learner")
    model = workload.keras_learner() if own else workload.keras_model()
    note = ""
    if accelerated:
        from kzoo.accelerate import accelerate

        note = accelerate(model).summary
    if not own:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.ended = time.perf_counter()

    def run(steps):
        clock = Clock()
        data = workload.data(steps + 1)
        model.fit(*data, batch_size=workload.BATCH, shuffle=False, verbose=0, callbacks=[clock])
        return (clock.ended - clock.started) / steps

    return run, note


def torch_contender(workload):
    import torch

    torch.manual_seed(0)
    step = workload.torch_step() if hasattr(workload, "torch_step") else torch_classifier(workload)

    def run(steps):
        arrays = [torch.as_tensor(array) for array in workload.data(steps + 1)]
        arrays = [
            array.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            if array.ndim == 4
            else array
            for array in arrays
        ]
        total = torch.zeros(())
        for index in range(steps + 1):
            if index == 1:
                started = time.perf_counter()
            batch = slice(index * workload.BATCH, (index + 1) * workload.BATCH)
            total += step(*(array[batch] for array in arrays)).detach()
        total.item()
        return (time.perf_counter() - started) / steps

    return run, ""


def torch_classifier(workload):
    import torch
    from torch.nn import functional as F

    model = workload.torch_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x, y):
        logits = model(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.long().reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def jax_contender(workload):
    import jax

    state, step = workload.jax_step() if hasattr(workload, "jax_step") else jax_classifier(workload)
    step = jax.jit(step)

    def run(steps):
        nonlocal state
        arrays = workload.data(steps + 1)
        for index in range(steps + 1):
            batch = slice(index * workload.BATCH, (index + 1) * workload.BATCH)
            state, loss = step(state, *(array[batch] for array in arrays))
            if index == 0:
                loss.block_until_ready()
                started = time.perf_counter()
        jax.block_until_ready(state)
        return (time.perf_counter() - started) / steps

    return run, ""


def jax_classifier(workload):
    import jax
    import jax.numpy as jnp

    weights, statistics, apply = workload.jax_model()

    def loss_of(weights, statistics, x, y):
        logits, statistics = apply(weights, statistics, x)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1)
        return -picked.mean(), statistics

    def step(state, x, y):
        weights, statistics, slots = state
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, statistics), gradients = differentiate(weights, statistics, x, y)
        weights, slots = jax_adam(weights, gradients, slots)
        return (weights, statistics, slots), loss

    return (weights, statistics, jax_slots(weights)), step


def jax_slots(weights):
    """What Adam keeps: both means and the number of steps."""
    import jax
    import jax.numpy as jnp

    zeros = jax.tree.map(jnp.zeros_like, weights)
    return zeros, zeros, 0.0


def jax_adam(weights, gradients, slots, learning_rate=1e-3, beta_1=0.9):
    """One step of Adam by hand: the new weights and what is kept for the next one."""
    import jax
    import jax.numpy as jnp

    m, v, count = slots
    count = count + 1
    rate = learning_rate * jnp.sqrt(1 - 0.999**count) / (1 - beta_1**count)
    m = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
    return weights, (m, v, count)


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
