"""Networks in Flax, as its users write them: what kzoo on JAX is measured beside in `vision.py`.

Flax, msgpack and treescope lie in `.venv/oracles`. A training step is one compiled program: cross-entropy, gradients,
SGD with momentum by optax, running statistics. Images are `(b, h, w, 3)`.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

relu6 = functools.partial(jnp.clip, min=0.0, max=6.0)


class ResNet(nn.Module):
    """ResNet v1.5: strides in the 3 x 3 convolution of a bottleneck."""

    depths: tuple
    bottleneck: bool
    classes: int

    @nn.compact
    def __call__(self, x, train):
        conv = functools.partial(nn.Conv, use_bias=False)
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5)
        x = nn.relu(norm()(conv(64, (7, 7), (2, 2), padding=3)(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for stage, depth in enumerate(self.depths):
            for block in range(depth):
                width, stride = 64 * 2**stage, 2 if stage and not block else 1
                last = 4 * width if self.bottleneck else width
                if self.bottleneck:
                    y = nn.relu(norm()(conv(width, (1, 1))(x)))
                    y = nn.relu(norm()(conv(width, (3, 3), (stride, stride), padding=1)(y)))
                    y = norm()(conv(last, (1, 1))(y))
                else:
                    y = nn.relu(norm()(conv(width, (3, 3), (stride, stride), padding=1)(x)))
                    y = norm()(conv(width, (3, 3), padding=1)(y))
                if x.shape != y.shape:
                    x = norm()(conv(last, (1, 1), (stride, stride))(x))
                x = nn.relu(x + y)
        return nn.Dense(self.classes)(x.mean((1, 2)))


class MobileNetV2(nn.Module):
    """Inverted residuals."""

    classes: int

    @nn.compact
    def __call__(self, x, train):
        def convolved(x, filters, size=1, stride=1, groups=1):
            pad = size // 2
            x = nn.Conv(
                *(filters, (size, size), (stride, stride), pad), feature_group_count=groups, use_bias=False
            )(x)
            return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x)

        x = relu6(convolved(x, 32, 3, 2))
        rows = (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        for expansion, filters, depth, first in rows:
            for block in range(depth):
                stride, width = 1 if block else first, expansion * x.shape[-1]
                y = x if expansion == 1 else relu6(convolved(x, width))
                y = convolved(relu6(convolved(y, width, 3, stride, width)), filters)
                x = x + y if x.shape == y.shape else y
        x = relu6(convolved(x, 1280))
        return nn.Dense(self.classes)(x.mean((1, 2)))


class VisionTransformer(nn.Module):
    """ViT with patches of 16: class token, learned positions, norm first."""

    dim: int
    depth: int
    heads: int
    classes: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(self.dim, (16, 16), (16, 16))(x)
        b, h, w, c = x.shape
        token = self.param("token", nn.initializers.zeros, (1, 1, c))
        x = jnp.concatenate([jnp.tile(token, (b, 1, 1)), x.reshape(b, h * w, c)], 1)
        x = x + self.param("positions", nn.initializers.normal(0.02), (1, h * w + 1, c))
        for _ in range(self.depth):
            y = nn.LayerNorm(1e-6)(x)
            x = x + nn.MultiHeadDotProductAttention(self.heads, deterministic=True)(y, y)
            y = nn.gelu(nn.Dense(4 * c)(nn.LayerNorm(1e-6)(x)), approximate=False)
            x = x + nn.Dense(c)(y)
        return nn.Dense(self.classes)(nn.LayerNorm(1e-6)(x)[:, 0])


NETWORKS = {  # ours: theirs, of so many classes
    "resnet18": lambda classes: ResNet((2, 2, 2, 2), False, classes),
    "resnet50": lambda classes: ResNet((3, 4, 6, 3), True, classes),
    "mobilenet_v2": MobileNetV2,
    "vit_tiny_patch16": lambda classes: VisionTransformer(192, 12, 3, classes),
}


def steps(name, side, classes):
    """Functions of a batch that train and that predict, waiting for the result."""
    network, optimizer = NETWORKS[name](classes), optax.sgd(1e-4, momentum=0.9)
    variables = network.init(jax.random.key(0), jnp.zeros((1, side, side, 3)), False)
    state = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
    state["slots"] = optimizer.init(state["params"])

    def loss(params, statistics, x, y):
        given = {"params": params, "batch_stats": statistics}
        logits, changed = network.apply(given, x, True, mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return losses.mean(), changed.get("batch_stats", {})

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, x, y):
        found = jax.value_and_grad(loss, has_aux=True)(state["params"], state["batch_stats"], x, y)
        (value, statistics), gradients = found
        changes, slots = optimizer.update(gradients, state["slots"])
        params = optax.apply_updates(state["params"], changes)
        return {"params": params, "batch_stats": statistics, "slots": slots}, value

    @jax.jit
    def logits_of(state, x):
        given = {"params": state["params"], "batch_stats": state["batch_stats"]}
        return network.apply(given, x, False)

    def train(x, y):
        nonlocal state
        state, value = update(state, x, y)
        return float(value)

    def predict(x, y):
        return jax.device_get(logits_of(state, x))

    return train, predict, sum(leaf.size for leaf in jax.tree.leaves(state["params"]))
