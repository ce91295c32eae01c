"""Workload: a training step of conditional diffusion with averaged weights, `diffusion_unet_small` on 28×28×1 images.

The native ones draw times, noise and dropped labels as the learner does, and are written as one would by hand: PyTorch
with its fused group norm and attention.
"""

import numpy as np

NAME = "Diffusion, small U-Net, 28×28×1, batch 64"
BATCH, SIZE, CLASSES, TIMES = 64, 28, 10, 1000
FILTERS, GROUPS, PATCH, MOMENTUM, DROPPED = (32, 64), 8, 2, 0.999, 0.1
DIM = 4 * FILTERS[0]
STEPS, ROUNDS = 4, 7


def data(batches, seed=0):
    """Images `(n, h, w, 1)` and classes `(n,)` for so many batches."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(batches * BATCH, SIZE, SIZE, 1)).astype("float32")
    return x, rng.integers(0, CLASSES, size=batches * BATCH).astype("int32")


def keras_learner():
    import keras

    import kzoo

    unet = kzoo.create_model("diffusion_unet_small", image_shape=(SIZE, SIZE, 1), num_classes=CLASSES)
    learner = kzoo.learners.Diffusion(unet, target="noise", label_dropout=DROPPED, ema_momentum=MOMENTUM)
    learner.compile(keras.optimizers.Adam(1e-3))
    return learner


def signal():
    """ᾱ of the cosine schedule."""
    left = np.cos((np.arange(TIMES + 1) / TIMES + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - left[1:] / left[:-1], 0.999)).astype("float32")


def blocks():
    """Name, channels that come and channels that go of each residual block, in the order in which they are run."""
    f, g = FILTERS
    return [
        *(("down_0", f, f), ("down_1", f, g), ("middle_1", g, g), ("middle_2", g, g)),
        *(("up_1_1", g + g, g), ("up_1_2", g + f, g), ("up_0_1", g + f, f), ("up_0_2", f + f, f)),
    ]


ATTENTIONS = ("down_1", "middle_1", "up_1_1", "up_1_2")  # those blocks that attention follows


def waves(times, library):
    k = FILTERS[0] // 2
    angles = times[:, None] * library.asarray(10_000.0 ** (-np.arange(k, dtype="float32") / (k - 1)))
    return library.concatenate([library.sin(angles), library.cos(angles)], -1)


def torch_step():
    import torch
    from torch import nn
    from torch.nn import functional as F

    def norm(c):
        return nn.GroupNorm(GROUPS, c, eps=1e-6)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, attends):
            super().__init__()
            self.norm_1, self.norm_2 = norm(inputs), norm(outputs)
            self.conv_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
            self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1)
            self.time = nn.Linear(DIM, outputs)
            self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
            self.attends = attends
            if attends:
                self.norm_3 = norm(outputs)
                self.qkv, self.out = nn.Linear(outputs, 3 * outputs), nn.Linear(outputs, outputs)

        def forward(self, x, condition):
            h = self.conv_1(F.silu(self.norm_1(x))) + self.time(condition)[:, :, None, None]
            x = self.shortcut(x) + self.conv_2(F.silu(self.norm_2(h)))
            if not self.attends:
                return x
            b, c, height, width = x.shape
            q, k, v = self.qkv(self.norm_3(x).permute(0, 2, 3, 1).reshape(b, 1, -1, c)).chunk(3, -1)
            y = self.out(F.scaled_dot_product_attention(q, k, v)).reshape(b, height, width, c)
            return x + y.permute(0, 3, 1, 2)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            f, g = FILTERS
            self.time = nn.Sequential(nn.Linear(f, DIM), nn.SiLU(), nn.Linear(DIM, DIM))
            self.label = nn.Embedding(CLASSES + 1, DIM)
            self.stem, self.down = nn.Conv2d(1, f, PATCH, PATCH), nn.Conv2d(f, f, 3, 2, 1)
            self.up, self.norm = nn.Conv2d(g, g, 3, padding=1), norm(f)
            self.head = nn.ConvTranspose2d(f, 1, PATCH, PATCH)
            self.blocks = nn.ModuleDict({name: Block(i, o, name in ATTENTIONS) for name, i, o in blocks()})

        def forward(self, x, times, labels):
            c = F.silu(self.time(waves(times.float(), torch)) + self.label(labels))
            a = self.stem(x)
            b = self.blocks["down_0"](a, c)
            d = self.down(b)
            e = self.blocks["down_1"](d, c)
            x = self.blocks["middle_2"](self.blocks["middle_1"](e, c), c)
            for name, skip in (("up_1_1", e), ("up_1_2", d)):
                x = self.blocks[name](torch.cat([x, skip], 1), c)
            x = self.up(F.interpolate(x, scale_factor=2))
            for name, skip in (("up_0_1", b), ("up_0_2", a)):
                x = self.blocks[name](torch.cat([x, skip], 1), c)
            return self.head(F.silu(self.norm(x)))

    model = UNet().to(memory_format=torch.channels_last)
    weights = list(model.parameters())
    means = [weight.detach().clone() for weight in weights]
    optimizer, left = torch.optim.Adam(weights, lr=1e-3), torch.tensor(signal())

    def step(images, labels):
        images, noise = 2 * images - 1, torch.randn_like(images)
        times = torch.randint(0, TIMES, (len(images),))
        labels = torch.where(torch.rand(len(images)) < DROPPED, CLASSES, labels)
        share = left[times][:, None, None, None]
        x = share.sqrt() * images + (1 - share).sqrt() * noise
        loss = F.mse_loss(model(x, times, labels.long()), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch._foreach_lerp_(means, [weight.detach() for weight in weights], 1 - MOMENTUM)
        return loss

    return step


def jax_step():
    """The first state, and a function of it, images and classes."""
    import jax
    import jax.numpy as jnp
    from contender import jax_adam, jax_slots

    keys, (f, g) = iter(jax.random.split(jax.random.key(0), 100)), FILTERS

    def kernel(*shape):
        w = jax.random.normal(next(keys), shape) / np.sqrt(np.prod(shape[:-1]))
        return {"w": w, "b": jnp.zeros(shape[-1])}

    def norm(c):
        return {"scale": jnp.ones(c), "shift": jnp.zeros(c)}

    def block(name, i, o):
        p = {"norm_1": norm(i), "norm_2": norm(o), "conv_1": kernel(3, 3, i, o), "conv_2": kernel(3, 3, o, o)}
        p |= {"time": kernel(DIM, o)} | ({} if i == o else {"shortcut": kernel(1, 1, i, o)})
        attention = {"norm_3": norm(o), "qkv": kernel(o, 3 * o), "out": kernel(o, o)}
        return p | (attention if name in ATTENTIONS else {})

    weights = {
        **{"time_1": kernel(f, DIM), "time_2": kernel(DIM, DIM), "label": kernel(CLASSES + 1, DIM)["w"]},
        **{"stem": kernel(PATCH, PATCH, 1, f), "down": kernel(3, 3, f, f), "up": kernel(3, 3, g, g)},
        **{"norm": norm(f), "head": kernel(1, 1, f, PATCH * PATCH)},
        "blocks": {name: block(name, i, o) for name, i, o in blocks()},
    }

    def dense(p, x):
        return x @ p["w"] + p["b"]

    def conv(p, x, stride=1):
        numbers = ("NHWC", "HWIO", "NHWC")
        return (
            jax.lax.conv_general_dilated(x, p["w"], (stride,) * 2, "SAME", dimension_numbers=numbers) + p["b"]
        )

    def normal(p, x):
        parts = x.reshape(*x.shape[:3], GROUPS, -1)
        mean, variance = parts.mean((1, 2, 4), keepdims=True), parts.var((1, 2, 4), keepdims=True)
        return ((parts - mean) * jax.lax.rsqrt(variance + 1e-6)).reshape(x.shape) * p["scale"] + p["shift"]

    def run(p, x, c):
        h = conv(p["conv_1"], jax.nn.silu(normal(p["norm_1"], x))) + dense(p["time"], c)[:, None, None]
        h = conv(p["conv_2"], jax.nn.silu(normal(p["norm_2"], h)))
        x = h + (conv(p["shortcut"], x) if "shortcut" in p else x)
        if "qkv" not in p:
            return x
        q, k, v = jnp.split(dense(p["qkv"], normal(p["norm_3"], x).reshape(len(x), -1, x.shape[-1])), 3, -1)
        scores = jax.nn.softmax(jnp.einsum("bqc,bkc->bqk", q, k) * q.shape[-1] ** -0.5)
        return x + dense(p["out"], jnp.einsum("bqk,bkc->bqc", scores, v)).reshape(x.shape)

    def guess(w, x, times, labels):
        c = dense(w["time_2"], jax.nn.silu(dense(w["time_1"], waves(times.astype("float32"), jnp))))
        c, part = jax.nn.silu(c + w["label"][labels]), w["blocks"]
        a = conv(w["stem"], x, PATCH)
        b = run(part["down_0"], a, c)
        d = conv(w["down"], b, 2)
        e = run(part["down_1"], d, c)
        x = run(part["middle_2"], run(part["middle_1"], e, c), c)
        for name, skip in (("up_1_1", e), ("up_1_2", d)):
            x = run(part[name], jnp.concatenate([x, skip], -1), c)
        x = conv(w["up"], x.repeat(2, 1).repeat(2, 2))
        for name, skip in (("up_0_1", b), ("up_0_2", a)):
            x = run(part[name], jnp.concatenate([x, skip], -1), c)
        n, h, _, _ = x.shape
        x = conv(w["head"], jax.nn.silu(normal(w["norm"], x))).reshape(n, h, h, PATCH, PATCH)
        return x.swapaxes(2, 3).reshape(n, SIZE, SIZE, 1)

    left = jnp.asarray(signal())

    def step(state, images, labels):
        weights, slots, means, key = state
        key, *draws = jax.random.split(key, 4)
        images, noise = 2 * images - 1, jax.random.normal(draws[0], images.shape)
        times = jax.random.randint(draws[1], (len(images),), 0, TIMES)
        labels = jnp.where(jax.random.uniform(draws[2], (len(images),)) < DROPPED, CLASSES, labels)
        share = left[times][:, None, None, None]
        x = jnp.sqrt(share) * images + jnp.sqrt(1 - share) * noise

        def loss_of(weights):
            return jnp.mean((guess(weights, x, times, labels) - noise) ** 2)

        loss, gradients = jax.value_and_grad(loss_of)(weights)
        weights, slots = jax_adam(weights, gradients, slots)
        means = jax.tree.map(lambda m, w: MOMENTUM * m + (1 - MOMENTUM) * w, means, weights)
        return (weights, slots, means, key), loss

    return (weights, jax_slots(weights), weights, jax.random.key(1)), step
