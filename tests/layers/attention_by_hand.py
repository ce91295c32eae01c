"""Attention and its positions in NumPy, query by query and key by key, as the papers write them."""

import math

import numpy as np


def attend(query, key, value, mask=None, bias=None, scale=None):
    """Means of values `(b, t, n, v)` and weights `(b, n, t, s)`; heads of keys are shared in order."""
    (b, t, n, h), (_, s, m, v) = query.shape, value.shape
    mask = np.broadcast_to(True if mask is None else mask, (b, n, t, s))
    bias = np.broadcast_to(0.0 if bias is None else bias, (b, n, t, s))
    scale = 1 / math.sqrt(h) if scale is None else scale
    means, weights = np.zeros((b, t, n, v)), np.zeros((b, n, t, s))
    for example, head, i in np.ndindex(b, n, t):
        seen = np.flatnonzero(mask[example, head, i])
        if seen.size:
            shared = head * m // n
            scores = (
                key[example, seen, shared] @ query[example, i, head] * scale + bias[example, head, i, seen]
            )
            exponentials = np.exp(scores - scores.max())
            weights[example, head, i, seen] = exponentials / exponentials.sum()
            means[example, i, head] = weights[example, head, i, seen] @ value[example, seen, shared]
    return means, weights


def causal(t, s, offset=0):
    return np.array([[j <= offset + i for j in range(s)] for i in range(t)])


def local(t, s, window, offset=0):
    return np.array([[abs(offset + i - j) < window for j in range(s)] for i in range(t)])


def strided(t, stride, is_causal):
    def sees(i, j):
        return (j <= i or not is_causal) and (abs(i - j) < stride or (i - j) % stride == 0)

    return np.array([[sees(i, j) for j in range(t)] for i in range(t)])


# ---------------------------------------------------------------- positions


def rotary(x, offset=0, interleaved=False, dim=None, max_wavelength=10_000.0):
    """Pairs of features as complex numbers, times `exp(i · position · frequency)`."""
    dim = dim or x.shape[-1]
    pairs = [(2 * k, 2 * k + 1) if interleaved else (k, k + dim // 2) for k in range(dim // 2)]
    turned = x.copy()
    for k, (a, b) in enumerate(pairs):
        for i in range(x.shape[1]):
            angle = (offset + i) / max_wavelength ** (2 * k / dim)
            number = (x[:, i, :, a] + 1j * x[:, i, :, b]) * np.exp(1j * angle)
            turned[:, i, :, a], turned[:, i, :, b] = number.real, number.imag
    return turned


def alibi(t, s, slopes, offset=0):
    return np.array(
        [[[-slope * abs(offset + i - j) for j in range(s)] for i in range(t)] for slope in slopes]
    )


def t5_bucket(d, bidirectional, num_buckets, max_distance):
    """Of a key `d` places after its query."""
    bucket = 0
    if bidirectional:
        num_buckets //= 2
        bucket, d = (num_buckets if d > 0 else 0), abs(d)
    else:
        d = max(-d, 0)
    exact = num_buckets // 2
    if d < exact:
        return bucket + d
    wider = math.log(d / exact) / math.log(max_distance / exact) * (num_buckets - exact)
    return bucket + min(exact + int(wider + 1e-9), num_buckets - 1)


def t5(t, s, table, bidirectional, num_buckets, max_distance, offset=0):
    """`(n, t, s)` of a table of `(num_buckets, n)`."""
    options = bidirectional, num_buckets, max_distance
    rows = [[table[t5_bucket(j - offset - i, *options)] for j in range(s)] for i in range(t)]
    return np.array(rows).transpose(2, 0, 1)


def shaw(query, key, value, key_table, value_table, mask, offset=0):
    """Equations 3 and 4, with the vectors of every pair: the means."""
    (_, t, _, h), s, k = query.shape, key.shape[1], len(key_table) // 2
    index = np.array([[min(max(j - offset - i, -k), k) + k for j in range(s)] for i in range(t)])
    bias = np.einsum("btnh,tsh->bnts", query, key_table[index]) / math.sqrt(h)
    means, weights = attend(query, key, value, mask, bias)
    return means + np.einsum("bnts,tsh->btnh", weights, value_table[index])


def transformer_xl(query, key, value, projection, u, v, mask, offset=0, max_wavelength=10_000.0):
    """Section 3.3 with a vector for every pair: the means."""
    (b, t, n, h), s, dim = query.shape, key.shape[1], len(projection)
    key = np.repeat(key, n // key.shape[2], axis=2)
    value = np.repeat(value, n // value.shape[2], axis=2)
    scores = np.zeros((b, n, t, s))
    for i, j in np.ndindex(t, s):
        angles = (offset + i - j) / max_wavelength ** (np.arange(0, dim, 2) / dim)
        r = (np.concatenate([np.sin(angles), np.cos(angles)]) @ projection).reshape(n, h)
        content = ((query[:, i] + u) * key[:, j]).sum(-1)
        scores[:, :, i, j] = (content + ((query[:, i] + v) * r).sum(-1)) / math.sqrt(h)
    return attend(np.zeros_like(query), key, value, mask, scores)[0]


def disentangled(query, key, value, table, key_kernel, query_kernel, query_bias, mask, offset=0):
    """Equation 4, with the distance of the published code in the last term: the means."""
    (b, t, n, h), s, k = query.shape, key.shape[1], len(table) // 2
    key = np.repeat(key, n // key.shape[2], axis=2)
    value = np.repeat(value, n // value.shape[2], axis=2)
    keys = (table @ key_kernel).reshape(-1, n, h)
    queries = (table @ query_kernel + query_bias).reshape(-1, n, h)
    scores = np.zeros((b, n, t, s))
    for i, j in np.ndindex(t, s):
        d = offset + i - j
        index = 0 if d <= -k else 2 * k - 1 if d >= k else d + k
        terms = query[:, i] * key[:, j] + query[:, i] * keys[index] + queries[index] * key[:, j]
        scores[:, :, i, j] = terms.sum(-1) / math.sqrt(3 * h)
    return attend(np.zeros_like(query), key, value, mask, scores)[0]


# ---------------------------------------------------------------- additive attention


def bahdanau(query, key, w, u, c, v, mask=None):
    """Means `(b, t, d)` and weights `(b, t, s)` of queries `(b, t, q)`."""
    means, weights = np.zeros((*query.shape[:2], key.shape[2])), np.zeros((*query.shape[:2], key.shape[1]))
    for example, i in np.ndindex(query.shape[:2]):
        seen = np.arange(key.shape[1]) if mask is None else np.flatnonzero(mask[example])
        if seen.size:
            scores = np.tanh(query[example, i] @ w + key[example, seen] @ u + c) @ v[:, 0]
            exponentials = np.exp(scores - scores.max())
            weights[example, i, seen] = exponentials / exponentials.sum()
            means[example, i] = weights[example, i] @ key[example]
    return means, weights
