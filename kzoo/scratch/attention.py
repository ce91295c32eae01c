"""Scaled dot-product attention and attention with several heads. Vaswani et al. (2017), arXiv:1706.03762.

Shapes: `b` batch, `n` queries, `m` keys and values, `h` heads, `k` a head's length.
"""

import math

import numpy as np

from kzoo.scratch import initializers
from kzoo.scratch.activations import softmax, softmax_backward
from kzoo.scratch.layer import Layer, check_axis


class ScaledDotProductAttention(Layer):
    """Means of the values, weighted by how well each key answers the query: `softmax(Q K^T / sqrt(k)) V`.

    The input is a tuple (query, value, key) in Keras's order: `(..., n, k)`, `(..., m, v)`, `(..., m, k)`; the output
    is `(..., n, v)`. `backward` returns their gradients in the same order. The weights of the last pass lie in
    `attention_scores`, `(..., n, m)`.

    Args:
        causal: whether a query sees only the keys up to its own place.
    """

    def __init__(self, causal=False):
        super().__init__()
        self.causal, self.attention_scores = causal, None

    def forward(self, x, training=False):
        q, v, k = x
        logits = q @ k.swapaxes(-1, -2) / math.sqrt(k.shape[-1])
        if self.causal:
            unseen = ~np.tri(*logits.shape[-2:], dtype=bool)
            logits = np.where(unseen, np.finfo(logits.dtype).min, logits)
        a = self.attention_scores = softmax(logits)
        self._kept = q, v, k, a
        return a @ v

    def backward(self, dy):
        q, v, k, a = self._recall()
        # A place that is masked has a weight of 0, and so a gradient of 0.
        dlogits = softmax_backward(a, dy @ v.swapaxes(-1, -2)) / math.sqrt(k.shape[-1])
        return dlogits @ k, a.swapaxes(-1, -2) @ dy, dlogits.swapaxes(-1, -2) @ q


class MultiHeadAttention(Layer):
    """Attention in several learned projections at once, joined by a last one: `(b, n, dim)` to the same shape.

    The input is one array, which attends to itself, or a tuple (query, value, key) of arrays `(b, n, dim)`,
    `(b, m, dim)`, `(b, m, dim)`; `backward` returns the gradient in the same form. Weights lie as in Keras: kernels
    `(dim, h, k)` and biases `(h, k)` of query, key and value, then the output's, `(h, k, dim)` and `(dim,)`.

    Args:
        dim: the length of the vectors that come in and go out.
        num_heads: how many projections.
        key_dim: the length of each head's vectors.
        causal: whether a query sees only the keys up to its own place.
        seed: a seed or a NumPy generator.
    """

    def __init__(self, dim, num_heads, key_dim, causal=False, seed=None):
        super().__init__()
        self.dim, self.num_heads, self.key_dim = dim, num_heads, key_dim
        self.attention = ScaledDotProductAttention(causal)
        generator = np.random.default_rng(seed)
        for name in ("query", "key", "value"):
            kernel = initializers.glorot_uniform((dim, num_heads * key_dim), generator)
            self.parameters[f"{name}_kernel"] = kernel.reshape(dim, num_heads, key_dim)
            self.parameters[f"{name}_bias"] = np.zeros((num_heads, key_dim))
        kernel = initializers.glorot_uniform((num_heads * key_dim, dim), generator)
        self.parameters["output_kernel"] = kernel.reshape(num_heads, key_dim, dim)
        self.parameters["output_bias"] = np.zeros(dim)

    def forward(self, x, training=False):
        inputs = dict(zip(("query", "value", "key"), x if isinstance(x, tuple) else (x, x, x)))
        for given in inputs.values():
            check_axis(self, given, self.dim)
        heads = self.attention.forward(tuple(self._split(name, given) for name, given in inputs.items()))
        self._kept = inputs, heads, isinstance(x, tuple)
        p = self.parameters
        return np.einsum("bhnk,hkd->bnd", heads, p["output_kernel"], optimize=True) + p["output_bias"]

    def _split(self, name, x):
        """One projection of all heads, `(b, h, n, k)`."""
        y = np.einsum("bnd,dhk->bhnk", x, self.parameters[f"{name}_kernel"], optimize=True)
        return y + self.parameters[f"{name}_bias"][:, None]

    def backward(self, dy):
        inputs, heads, apart = self._recall()
        p, g = self.parameters, self.gradients
        g["output_kernel"] = np.einsum("bhnk,bnd->hkd", heads, dy, optimize=True)
        g["output_bias"] = dy.sum((0, 1))
        dheads = self.attention.backward(np.einsum("bnd,hkd->bhnk", dy, p["output_kernel"], optimize=True))
        dx = []
        for (name, x), d in zip(inputs.items(), dheads):
            g[f"{name}_kernel"] = np.einsum("bnd,bhnk->dhk", x, d, optimize=True)
            g[f"{name}_bias"] = d.sum((0, 2))
            dx.append(np.einsum("bhnk,dhk->bnd", d, p[f"{name}_kernel"], optimize=True))
        return tuple(dx) if apart else sum(dx)
