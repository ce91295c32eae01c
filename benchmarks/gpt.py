"""Workload: a GPT of 4 layers, 128 wide, 4 heads, length 64, batches of 12; embeddings tied, as GPT-2's."""

import numpy as np

NAME = "GPT, 4 layers, 128 wide, length 64, batch 12"
BATCH, LENGTH, DIM, HEADS, DEPTH, VOCABULARY = 12, 64, 128, 4, 4, 65
STEPS, ROUNDS = 12, 10


def data(batches, seed=0):
    """Token ids `(n, t)` and the ids that follow them `(n, t)` for so many batches."""
    ids = (
        np.random.default_rng(seed)
        .integers(0, VOCABULARY, size=(batches * BATCH, LENGTH + 1))
        .astype("int32")
    )
    return ids[:, :-1], ids[:, 1:]


def keras_model():
    from kzoo.models.text.gpt import gpt

    return gpt(VOCABULARY, max_sequence_length=LENGTH, dim=DIM, depth=DEPTH, num_heads=HEADS)


def torch_model():
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
            self.qkv, self.projection = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
            self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU("tanh"), nn.Linear(4 * DIM, DIM))

        def forward(self, x):
            b, t, _ = x.shape
            qkv = self.qkv(self.norm_1(x)).view(b, t, 3, HEADS, DIM // HEADS)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.projection(attended.transpose(1, 2).reshape(b, t, DIM))
            return x + self.mlp(self.norm_2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, DIM), nn.Embedding(LENGTH, DIM)
            self.blocks = nn.Sequential(*[Block() for _ in range(DEPTH)])
            self.norm = nn.LayerNorm(DIM)
            for weight in self.parameters():
                if weight.ndim > 1:
                    nn.init.normal_(weight, std=0.02)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            return F.linear(self.norm(self.blocks(x)), self.tokens.weight)

    return GPT()


def jax_model():
    """The initial parameters, and a function of parameters and inputs that gives `(logits, statistics)`."""
    import jax
    import jax.numpy as jnp

    keys = iter(jax.random.split(jax.random.key(0), 100))

    def linear(inputs, outputs):
        return {"w": jax.random.normal(next(keys), (inputs, outputs)) * 0.02, "b": jnp.zeros(outputs)}

    def norm():
        return {"scale": jnp.ones(DIM), "shift": jnp.zeros(DIM)}

    def block():
        dense = {"qkv": linear(DIM, 3 * DIM), "out": linear(DIM, DIM)}
        mlp = {"up": linear(DIM, 4 * DIM), "down": linear(4 * DIM, DIM)}
        return {"norm_1": norm(), "norm_2": norm(), **dense, **mlp}

    weights = {
        "tokens": jax.random.normal(next(keys), (VOCABULARY, DIM)) * 0.02,
        "positions": jax.random.normal(next(keys), (LENGTH, DIM)) * 0.02,
        "blocks": [block() for _ in range(DEPTH)],
        "norm": norm(),
    }

    def dense(p, x):
        return x @ p["w"] + p["b"]

    def normalize(p, x):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]

    def apply(weights, statistics, tokens):
        b, t = tokens.shape
        causal = jnp.tril(jnp.ones((t, t), bool))
        x = weights["tokens"][tokens] + weights["positions"][:t]
        for p in weights["blocks"]:
            qkv = dense(p["qkv"], normalize(p["norm_1"], x)).reshape(b, t, 3, HEADS, DIM // HEADS)
            q, k, v = jnp.moveaxis(qkv, 2, 0)  # (b, t, h, d) each
            scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * (DIM // HEADS) ** -0.5
            scores = jax.nn.softmax(jnp.where(causal, scores, -1e9))
            x = x + dense(p["out"], jnp.einsum("bhqk,bkhd->bqhd", scores, v).reshape(b, t, DIM))
            h = jax.nn.gelu(dense(p["up"], normalize(p["norm_2"], x)), approximate=True)
            x = x + dense(p["down"], h)
        return normalize(weights["norm"], x) @ weights["tokens"].T, statistics

    return weights, {}, apply
