"""Workload: ResNet-18 with a 3×3 stem on 32×32×3 images, ten classes, batches of 64."""

import numpy as np

NAME = "ResNet-18, 32×32×3, batch 64"
BATCH, SIZE, CLASSES = 64, 32, 10
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # filters, stride of the first block; two blocks each
STEPS, ROUNDS = 2, 7


def data(batches, seed=0):
    """Images `(n, h, w, 3)` and classes `(n,)` for so many batches."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batches * BATCH, SIZE, SIZE, 3)).astype("float32")
    return x, rng.integers(0, CLASSES, size=batches * BATCH).astype("int32")


def keras_model():
    import keras
    from keras import layers

    def conv(x, filters, kernel_size, strides=1):
        x = layers.Conv2D(filters, kernel_size, strides=strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(conv(inputs, 64, 3))
    for filters, stride in STAGES:
        for strides in (stride, 1):
            shortcut = x if x.shape[-1] == filters else conv(x, filters, 1, strides)
            h = layers.ReLU()(conv(x, filters, 3, strides))
            x = layers.ReLU()(layers.Add()([conv(h, filters, 3), shortcut]))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def torch_model():
    """Takes channels-first images in channels-last memory, which is the fast way on a CPU."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def conv(inputs, filters, kernel_size, stride=1):
        layer = nn.Conv2d(inputs, filters, kernel_size, stride, padding=kernel_size // 2, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(filters))

    class Block(nn.Module):
        def __init__(self, inputs, filters, stride):
            super().__init__()
            self.first, self.second = conv(inputs, filters, 3, stride), conv(filters, filters, 3)
            self.shortcut = nn.Identity() if inputs == filters else conv(inputs, filters, 1, stride)

        def forward(self, x):
            return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))

    blocks, inputs = [], 64
    for filters, stride in STAGES:
        blocks += [Block(inputs, filters, stride), Block(filters, filters, 1)]
        inputs = filters
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES)]
    model = nn.Sequential(conv(3, 64, 3), nn.ReLU(), *blocks, *head)
    return model.to(memory_format=torch.channels_last)


def jax_model():
    """The initial parameters and statistics, and a function of both and images: `(logits, statistics)`."""
    import jax
    import jax.numpy as jnp

    keys, weights, statistics = iter(jax.random.split(jax.random.key(0), 100)), {}, {}

    def declare(name, inputs, filters, kernel_size):
        shape = (kernel_size, kernel_size, inputs, filters)
        kernel = jax.random.normal(next(keys), shape) * (2 / (kernel_size**2 * inputs)) ** 0.5
        weights[name] = {"kernel": kernel, "scale": jnp.ones(filters), "shift": jnp.zeros(filters)}
        statistics[name] = {"mean": jnp.zeros(filters), "variance": jnp.ones(filters)}

    declare("stem", 3, 64, 3)
    plan, inputs = [], 64
    for stage, (filters, stride) in enumerate(STAGES):
        for block, strides in enumerate((stride, 1)):
            name = f"{stage}_{block}"
            declare(name + "_first", inputs, filters, 3)
            declare(name + "_second", filters, filters, 3)
            if inputs != filters:
                declare(name + "_shortcut", inputs, filters, 1)
            plan.append((name, strides, inputs != filters))
            inputs = filters
    weights["head"] = {"w": jax.random.normal(next(keys), (512, CLASSES)) * 0.02, "b": jnp.zeros(CLASSES)}

    def apply(weights, statistics, x):
        new = {}

        def conv(name, x, stride=1):
            p = weights[name]
            x = jax.lax.conv_general_dilated(
                x, p["kernel"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            moving = {"mean": mean, "variance": variance}
            new[name] = jax.tree.map(lambda old, batch: 0.9 * old + 0.1 * batch, statistics[name], moving)
            return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]

        x = jax.nn.relu(conv("stem", x))
        for name, stride, projected in plan:
            shortcut = conv(name + "_shortcut", x, stride) if projected else x
            h = jax.nn.relu(conv(name + "_first", x, stride))
            x = jax.nn.relu(conv(name + "_second", h) + shortcut)
        return x.mean((1, 2)) @ weights["head"]["w"] + weights["head"]["b"], new

    return weights, statistics, apply
