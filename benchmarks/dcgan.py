"""Workload: a step of DCGAN, critic and generator, on 28×28×1 images in batches of 64; two Adams."""

import numpy as np

NAME = "DCGAN, 28×28×1, batch 64"
BATCH, SIZE, NOISE = 64, 28, 64
FILTERS = (64, 32)  # of the generator
RATE, BETA = 2e-4, 0.5
STEPS, ROUNDS = 8, 7


def data(batches, seed=0):
    """Images between 0 and 1, `(n, h, w, 1)`, for so many batches."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(size=(batches * BATCH, SIZE, SIZE, 1)).astype("float32"),)


def keras_learner():
    import keras

    import kzoo

    model = kzoo.create_model("dcgan", image_shape=(SIZE, SIZE, 1), filters=FILTERS, noise_dim=NOISE)
    learner = kzoo.learners.AdversarialNetworks(model, seed=0)
    rates = {name: keras.optimizers.Adam(RATE, beta_1=BETA) for name in ("critic", "generator")}
    learner.compile(optimizers=rates)
    return learner


def torch_step():
    """Takes channels-first images in channels-last memory, which is the fast way on a CPU."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    first, second = FILTERS
    side = SIZE // 4

    def start(module):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)

    generator = nn.Sequential(
        nn.Linear(NOISE, side * side * first, bias=False),
        nn.Unflatten(1, (first, side, side)),
        nn.BatchNorm2d(first, eps=1e-3),
        nn.ReLU(),
        nn.ConvTranspose2d(first, second, 4, 2, 1, bias=False),
        nn.BatchNorm2d(second, eps=1e-3),
        nn.ReLU(),
        nn.ConvTranspose2d(second, 1, 4, 2, 1),
        nn.Tanh(),
    )
    critic = nn.Sequential(
        nn.Conv2d(1, second, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(second, first, 4, 2, 1, bias=False),
        nn.BatchNorm2d(first, eps=1e-3),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(side * side * first, 1),
    )
    for network in (generator, critic):
        network.apply(start).to(memory_format=torch.channels_last)
    adam = {
        name: torch.optim.Adam(network.parameters(), lr=RATE, betas=(BETA, 0.999))
        for name, network in (("critic", critic), ("generator", generator))
    }

    def step(images):
        real = 2 * images - 1
        with torch.no_grad():
            fake = generator(torch.randn(len(real), NOISE))
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
        adam["critic"].zero_grad()
        loss.backward()
        adam["critic"].step()
        fooled = F.softplus(-critic(generator(torch.randn(len(real), NOISE)))).mean()
        adam["generator"].zero_grad()
        fooled.backward()
        adam["generator"].step()
        return loss

    return step


def jax_step():
    """The first state and the step, which `contender.py` compiles."""
    import jax
    import jax.numpy as jnp
    from contender import jax_adam, jax_slots

    first, second = FILTERS
    side = SIZE // 4
    keys = iter(jax.random.split(jax.random.key(0), 9))

    def kernel(*shape):
        return 0.02 * jax.random.normal(next(keys), shape)

    def norm(filters):
        return {"scale": jnp.ones(filters), "shift": jnp.zeros(filters)}

    def statistics(filters):
        return {"mean": jnp.zeros(filters), "variance": jnp.ones(filters)}

    generator = {
        "stem": kernel(NOISE, side * side * first),
        "norm_1": norm(first),
        "conv_1": kernel(4, 4, first, second),
        "norm_2": norm(second),
        "conv_2": kernel(4, 4, second, 1),
        "bias_2": jnp.zeros(1),
    }
    critic = {
        "conv_1": kernel(4, 4, 1, second),
        "bias_1": jnp.zeros(second),
        "conv_2": kernel(4, 4, second, first),
        "norm_2": norm(first),
        "head": kernel(side * side * first, 1),
        "bias": jnp.zeros(1),
    }
    moving = {"generator": [statistics(first), statistics(second)], "critic": [statistics(first)]}

    def normalised(x, weights, old):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        new = {
            name: 0.9 * old[name] + 0.1 * value for name, value in (("mean", mean), ("variance", variance))
        }
        return (x - mean) * jax.lax.rsqrt(variance + 1e-3) * weights["scale"] + weights["shift"], new

    def up(x, weights):
        return jax.lax.conv_transpose(x, weights, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def down(x, weights):
        return jax.lax.conv_general_dilated(
            x, weights, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def generate(weights, old, noise):
        x, one = normalised(
            (noise @ weights["stem"]).reshape(-1, side, side, first), weights["norm_1"], old[0]
        )
        x, two = normalised(up(jax.nn.relu(x), weights["conv_1"]), weights["norm_2"], old[1])
        return jnp.tanh(up(jax.nn.relu(x), weights["conv_2"]) + weights["bias_2"]), [one, two]

    def judge(weights, old, x):
        x = jax.nn.leaky_relu(down(x, weights["conv_1"]) + weights["bias_1"], 0.2)
        x, new = normalised(down(x, weights["conv_2"]), weights["norm_2"], old[0])
        x = jax.nn.leaky_relu(x, 0.2).reshape(len(x), -1)
        return x @ weights["head"] + weights["bias"], [new]

    def critic_loss(critic, old, real, fake):
        judged, old = judge(critic, old, real)
        fooled, old = judge(critic, old, fake)
        return jax.nn.softplus(-judged).mean() + jax.nn.softplus(fooled).mean(), old

    def generator_loss(generator, critic, old, noise):
        fake, made = generate(generator, old["generator"], noise)
        judged, seen = judge(critic, old["critic"], fake)
        return jax.nn.softplus(-judged).mean(), {"generator": made, "critic": seen}

    def step(state, images):
        generator, critic, old, slots, key = state
        key, *draws = jax.random.split(key, 3)
        noise = [jax.random.normal(draw, (len(images), NOISE)) for draw in draws]
        fake, made = generate(generator, old["generator"], noise[0])
        differentiate = jax.value_and_grad(critic_loss, has_aux=True)
        (loss, seen), gradients = differentiate(critic, old["critic"], 2 * images - 1, fake)
        critic, kept = jax_adam(critic, gradients, slots["critic"], RATE, BETA)
        old = {"generator": made, "critic": seen}
        differentiate = jax.value_and_grad(generator_loss, has_aux=True)
        (_, old), gradients = differentiate(generator, critic, old, noise[1])
        generator, own = jax_adam(generator, gradients, slots["generator"], RATE, BETA)
        return (generator, critic, old, {"critic": kept, "generator": own}, key), loss

    slots = {"critic": jax_slots(critic), "generator": jax_slots(generator)}
    return (generator, critic, moving, slots, jax.random.key(1)), step
