"""A stack of layers, and the training loop."""

import numpy as np

from kzoo.scratch.layer import Layer


class Sequential(Layer):
    """Layers one after another; itself a layer. Its parameters are theirs, named `0.kernel`, `0.bias`, `2.kernel` …

    Args:
        layers: in the order of the forward pass.
    """

    def __init__(self, layers):
        super().__init__()
        self.layers = list(layers)
        self._gather()

    def _gather(self):
        for kind in ("parameters", "statistics"):
            found = {
                f"{i}.{name}": array
                for i, layer in enumerate(self.layers)
                for name, array in getattr(layer, kind).items()
            }
            setattr(self, kind, found)

    @property
    def weights(self):
        """Those of the first layer, of the second …, as `keras.Sequential.get_weights` orders them."""
        return [w for layer in self.layers for w in layer.weights]

    def forward(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        self.gradients = {
            f"{i}.{name}": g for i, layer in enumerate(self.layers) for name, g in layer.gradients.items()
        }
        return dy

    def astype(self, dtype):
        for layer in self.layers:
            layer.astype(dtype)
        self._gather()
        return self

    def predict(self, x, batch_size=1024):
        """The outputs of all examples, a batch at a time, not in training."""
        batches = [self.forward(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
        return np.concatenate(batches)


def count_parameters(layer):
    """How many numbers are learned."""
    return sum(w.size for w in layer.parameters.values())


def train_step(model, x, y, loss, optimizer, regularizer=None):
    """One step: forward, backward, update. Returns the outputs and the loss, with what the regularizer adds.

    Args:
        model: a layer.
        x, y: the batch.
        loss: a function of `kzoo.scratch.losses`.
        optimizer: one of `kzoo.scratch.optimizers`.
        regularizer: one of `kzoo.scratch.regularizers`, for kernels; biases and scales are left free.
    """
    outputs = model.forward(x, training=True)
    value, dy = loss(y, outputs)
    model.backward(dy)
    if regularizer is not None:
        for name, w in model.parameters.items():
            if name.endswith("kernel"):
                value = value + regularizer.value(w)
                model.gradients[name] = model.gradients[name] + regularizer.gradient(w)
    optimizer.step(model.parameters, model.gradients)
    return outputs, value


def train(model, x, y, *, loss, optimizer, epochs, batch_size=32, seed=0, schedule=None, regularizer=None):
    """Trains, and yields after each epoch the mean loss of its batches.

    Args:
        model, loss, optimizer, regularizer: as for `train_step`.
        x, y: the examples, shuffled anew for each epoch. The few that fill no batch are left out until the next: a
            step by the mean of two or three examples is mostly noise.
        epochs, batch_size: how often and how many at once.
        seed: decides the order.
        schedule: a function of the share of training that is done, 0 to 1, that gives the learning rate.
    """
    generator, done = np.random.default_rng(seed), 0
    batch_size = min(batch_size, len(x))
    steps = len(x) // batch_size
    for _ in range(epochs):
        order, total = generator.permutation(len(x)), 0.0
        for start in range(0, steps * batch_size, batch_size):
            if schedule is not None:
                optimizer.learning_rate = schedule(done / (epochs * steps))
            batch = order[start : start + batch_size]
            _, value = train_step(model, x[batch], y[batch], loss, optimizer, regularizer)
            total, done = total + float(value), done + 1
        yield total / steps
