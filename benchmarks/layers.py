"""Each layer of `kzoo.layers` beside the same computation written out plainly, in turn in one run.

```
python benchmarks/layers.py --engine torch [--rounds 15] [--only SqueezeExcite,CBAM] [--out FILE]
```

The peer is plain Keras layers or `keras.ops`, and on PyTorch also native PyTorch where that has the thing. A step is
the value and the gradients to the input and all weights, compiled as Keras compiles a training step on that engine.
A round asks layer and peer once each; the table gives the median and quartiles of the rounds' ratios. The figures of
one engine replace that engine's in the JSON file and leave the others'.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--engine", default="torch", choices=("tensorflow", "torch", "jax"))
parser.add_argument("--rounds", type=int, default=15, help="counted rounds; default: %(default)s")
parser.add_argument("--only", default="", help="comma-separated names of layers")
parser.add_argument("--out", type=Path, default=HERE / "layers.json")
ARGUMENTS = parser.parse_args()
os.environ["KERAS_BACKEND"] = ARGUMENTS.engine
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(HERE), str(HERE.parent)]

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402
from measured import machine, ratio  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from kzoo import autodiff, layers  # noqa: E402
from kzoo.files import write_json  # noqa: E402

MAPS, TOKENS = (32, 56, 56, 64), (16, 14, 14, 64)
K = keras.layers


def sequence(*parts):
    """Layers one after the other, as a function that carries them."""

    def call(x, training):
        for part in parts:
            x = part(x)
        return x

    call.parts = parts
    return call


def carrying(call, *parts):
    call.parts = parts
    return call


def plain_squeeze_excite():
    pool, gate = K.GlobalAveragePooling2D(keepdims=True), sequence(K.Dense(4, "relu"), K.Dense(64, "sigmoid"))
    return carrying(lambda x, training: x * gate(pool(x), training), *gate.parts)


def plain_channel_attention():
    hidden, gate = K.Dense(4, "relu"), K.Dense(64)

    def call(x, training):
        mean, peak = ops.mean(x, axis=(1, 2), keepdims=True), ops.max(x, axis=(1, 2), keepdims=True)
        return x * ops.sigmoid(gate(hidden(mean)) + gate(hidden(peak)))

    return carrying(call, hidden, gate)


def plain_spatial_attention():
    conv = K.Conv2D(1, 7, padding="same", activation="sigmoid")

    def call(x, training):
        maps = ops.concatenate(
            [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)], axis=-1
        )
        return x * conv(maps)

    return carrying(call, conv)


def plain_cbam():
    channels, places = plain_channel_attention(), plain_spatial_attention()
    return carrying(
        lambda x, training: places(channels(x, training), training), *channels.parts, *places.parts
    )


def plain_eca():
    pool, conv = (
        K.GlobalAveragePooling2D(),
        K.Conv1D(1, 3, padding="same", use_bias=False, activation="sigmoid"),
    )
    return carrying(lambda x, training: x * ops.reshape(conv(pool(x)[..., None]), (-1, 1, 1, 64)), conv)


def plain_non_local():
    theta, phi, g = (K.Conv2D(32, 1) for _ in range(3))
    out = K.Conv2D(64, 1)

    def call(x, training):
        b, h, w, _ = x.shape
        q, k, v = (ops.reshape(f(x), (b, h * w, 32)) for f in (theta, phi, g))
        y = ops.matmul(ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1)))), v)
        return x + out(ops.reshape(y, (b, h, w, 32)))

    return carrying(call, theta, phi, g, out)


def plain_drop_path():
    drop = K.Dropout(0.1, noise_shape=(None, 1, 1, 1), seed=0)
    return carrying(lambda x, training: drop(x, training=training), drop)


def plain_drop_block():
    seed = keras.random.SeedGenerator(0)

    def call(x, training):
        gamma = 0.1 / 49 * 56 * 56 / 50 / 50
        seeds = ops.cast(keras.random.uniform((32, 50, 50, 64), seed=seed) < gamma, "float32")
        seeds = ops.pad(seeds, ((0, 0), (6, 6), (6, 6), (0, 0)))
        kept = 1 - ops.max_pool(seeds, 7, 1)
        return x * kept / ops.mean(kept)

    return carrying(call)


def variables(*shapes):
    return [
        keras.Variable(np.random.default_rng(i).normal(size=s, scale=0.05), dtype="float32")
        for i, s in enumerate(shapes)
    ]


def plain_drop_connect():
    (kernel, bias), seed = variables((1024, 1024), (1024,)), keras.random.SeedGenerator(0)

    def call(x, training):
        mask = ops.cast(keras.random.uniform((1024, 1024), seed=seed) >= 0.5, "float32")
        return ops.matmul(x, kernel.value * mask / 0.5) + bias.value

    return carrying(call, kernel, bias)


def plain_normalized(standardized):
    kernel, gain, bias = variables((3, 3, 64, 64), (64,), (64,))

    def call(x, training):
        w = kernel.value
        if standardized:
            mean, variance = ops.moments(w, axes=(0, 1, 2), keepdims=True)
            w = (w - mean) / ops.sqrt(variance + 1e-5)
        else:
            w = gain.value * w / ops.sqrt(ops.sum(ops.square(w), axis=(0, 1, 2), keepdims=True))
        return ops.conv(x, w, padding="same") + bias.value

    return carrying(call, kernel, bias, *([] if standardized else [gain]))


def plain_variational():
    (kernel, log_sigma2, bias), seed = (
        variables((512, 512), (512, 512), (512,)),
        keras.random.SeedGenerator(0),
    )

    def call(x, training):
        theta = kernel.value
        log_alpha = log_sigma2.value - ops.log(ops.square(theta) + 1e-8)
        sigma2 = ops.exp(ops.clip(log_alpha, -8, 8)) * ops.square(theta)
        deviation = ops.sqrt(ops.matmul(ops.square(x), sigma2) + 1e-8)
        kl = 0.63576 * (1 - ops.sigmoid(1.8732 + 1.48695 * log_alpha)) + 0.5 * ops.softplus(-log_alpha)
        noise = keras.random.normal((256, 512), seed=seed)
        return ops.matmul(x, theta) + bias.value + deviation * noise, ops.sum(kl)

    return carrying(call, kernel, log_sigma2, bias)


def plain_capsules():
    (kernel,) = variables((1152, 8, 10, 16))

    def squash(s):
        n2 = ops.sum(ops.square(s), axis=-1, keepdims=True)
        return n2 / (1 + n2) * s / ops.sqrt(n2 + 1e-7)

    def call(x, training):
        u = ops.einsum("bid,idje->bije", x, kernel.value)
        still = ops.stop_gradient(u)
        logits = ops.zeros((32, 1152, 10, 1))
        for i in range(3):
            sent = u if i == 2 else still
            v = squash(ops.sum(ops.softmax(logits, axis=2) * sent, axis=1, keepdims=True))
            if i < 2:
                logits = logits + ops.sum(still * v, axis=-1, keepdims=True)
        return v

    return carrying(call, kernel)


def plain_quantizer():
    (codebook,) = variables((512, 64))

    def call(x, training):
        z, e = ops.reshape(x, (-1, 64)), codebook.value
        distances = (
            ops.sum(z**2, axis=1, keepdims=True)
            - 2 * ops.matmul(z, ops.transpose(e))
            + ops.sum(ops.square(e), axis=1)
        )
        q = ops.take(e, ops.argmin(distances, axis=1), axis=0)
        loss = ops.mean((ops.stop_gradient(z) - q) ** 2) + 0.25 * ops.mean((z - ops.stop_gradient(q)) ** 2)
        return ops.reshape(z + ops.stop_gradient(q - z), x.shape), loss

    return carrying(call, codebook)


def plain_fourier():
    matrix = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 256)).astype("float32"))

    def call(x, training):
        angles = 2 * np.pi * ops.matmul(x, matrix)
        return ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)

    return carrying(call)


CASES = {  # layer: its input's shape, what makes it, what makes the peer
    "SqueezeExcite": (MAPS, lambda: layers.SqueezeExcite(16), plain_squeeze_excite),
    "ChannelAttention": (MAPS, lambda: layers.ChannelAttention(16), plain_channel_attention),
    "SpatialAttention": (MAPS, lambda: layers.SpatialAttention(7), plain_spatial_attention),
    "CBAM": (MAPS, lambda: layers.CBAM(16, 7), plain_cbam),
    "ECA": (MAPS, layers.ECA, plain_eca),
    "NonLocal": (TOKENS, layers.NonLocal, plain_non_local),
    "DropPath": (MAPS, lambda: layers.DropPath(0.1, seed=0), plain_drop_path),
    "DropBlock2D": (MAPS, lambda: layers.DropBlock2D(0.1, 7, seed=0), plain_drop_block),
    "DropConnect": ((256, 1024), lambda: layers.DropConnect(K.Dense(1024), 0.5, seed=0), plain_drop_connect),
    "WeightNormalization": (
        (16, 28, 28, 64),
        lambda: layers.WeightNormalization(K.Conv2D(64, 3, padding="same")),
        lambda: plain_normalized(False),
    ),
    "WeightStandardization": (
        (16, 28, 28, 64),
        lambda: layers.WeightStandardization(K.Conv2D(64, 3, padding="same")),
        lambda: plain_normalized(True),
    ),
    "VariationalDense": ((256, 512), lambda: layers.VariationalDense(512, seed=0), plain_variational),
    "Capsules": ((32, 1152, 8), lambda: layers.Capsules(10, 16), plain_capsules),
    "VectorQuantizer": (TOKENS, lambda: layers.VectorQuantizer(512), plain_quantizer),
    "PatchEmbedding": (
        (16, 224, 224, 3),
        lambda: layers.PatchEmbedding(192, 16),
        lambda: sequence(K.Conv2D(192, 16, 16), K.Reshape((196, 192))),
    ),
    "FourierFeatures": ((16384, 2), lambda: layers.FourierFeatures(256, 10.0), plain_fourier),
}


def compiled_step(call, shape, trained):
    """A function that computes the value and the gradients to the input and `trained()`, and waits for them."""
    x = keras.Variable(np.random.default_rng(0).normal(size=shape).astype("float32"), name="input")
    call(x.value)  # builds
    sources = [x, *trained()]

    def loss():
        outputs, added = call(x.value)
        return ops.mean(ops.square(outputs)) + added

    step = autodiff.value_and_grad(loss, sources)
    if ARGUMENTS.engine == "tensorflow":
        import tensorflow as tf

        return tf.function(step)
    if ARGUMENTS.engine == "torch":
        return step
    import jax

    @jax.jit
    def program(values):
        with keras.StatelessScope(zip(sources, values)):
            return step()

    return lambda: program([source.value for source in sources])


def ours(make, shape):
    layer = make()
    mode = {"training": True} if "training" in layer.call.__code__.co_varnames else {}

    def call(x):
        outputs = layer(x, **mode)
        return outputs, sum(layer.losses, 0.0)

    return compiled_step(call, shape, lambda: layer.trainable_variables)


def theirs(make, shape):
    peer = make()

    def call(x):
        outputs = peer(x, True)
        return outputs if isinstance(outputs, tuple) else (outputs, 0.0)

    def trained():
        lists = (
            [p] if isinstance(p, keras.Variable) else getattr(p, "trainable_variables", [])
            for p in peer.parts
        )
        return [variable for variables in lists for variable in variables]

    return compiled_step(call, shape, trained)


def native_torch(name, shape):
    """The same step in native PyTorch, channels first but laid out channels last, or `None`."""
    import torch
    from torch import nn

    if name not in ("WeightNormalization", "PatchEmbedding"):
        return None
    x = torch.randn(shape).permute(0, 3, 1, 2).requires_grad_()
    if name == "WeightNormalization":
        module = nn.utils.parametrizations.weight_norm(nn.Conv2d(64, 64, 3, padding="same"))
    else:
        module = nn.Sequential(nn.Conv2d(3, 192, 16, 16), nn.Flatten(2))
    module = module.to(memory_format=torch.channels_last)
    sources = [x, *module.parameters()]
    return lambda: torch.autograd.grad(module(x).square().mean(), sources)


def milliseconds(step):
    began = time.perf_counter()
    results = step()
    for tensor in keras.tree.flatten(results):
        if ARGUMENTS.engine == "jax":
            tensor.block_until_ready()
    return 1000 * (time.perf_counter() - began)


def main():
    console = Console()
    names = ARGUMENTS.only.split(",") if ARGUMENTS.only else list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"choose from {', '.join(CASES)}. Received: {', '.join(sorted(unknown))}")
    table = Table(
        "layer",
        "input",
        "ms",
        "÷ written out",
        "÷ native PyTorch",
        title=f"Forward and backward, {ARGUMENTS.engine}",
    )
    results = {}
    for name in names:
        shape, make, peer = CASES[name]
        steps = {"kzoo": ours(make, shape), "written out": theirs(peer, shape)}
        if ARGUMENTS.engine == "torch" and (native := native_torch(name, shape)):
            steps["native PyTorch"] = native
        times = {label: [] for label in steps}
        for index in range(ARGUMENTS.rounds + 2):
            for label, step in steps.items():
                taken = milliseconds(step)
                if index > 1:  # the first two compile and warm up
                    times[label].append(taken)
        ratios = {label: ratio(times["kzoo"], own) for label, own in times.items() if label != "kzoo"}
        results[name] = {"shape": shape, "times": times, "ratios": ratios}
        cells = [
            "{:.2f} ({:.2f}–{:.2f})".format(*ratios[label]) if label in ratios else ""
            for label in ("written out", "native PyTorch")
        ]
        table.add_row(name, "×".join(map(str, shape)), f"{statistics.median(times['kzoo']):.2f}", *cells)
    console.print(table)
    before = json.loads(ARGUMENTS.out.read_text()) if ARGUMENTS.out.exists() else {}
    report = {"machine": machine(), "rounds": ARGUMENTS.rounds, "layers": results}
    write_json(ARGUMENTS.out, before | {ARGUMENTS.engine: report})


if __name__ == "__main__":
    main()
