"""What the tests of attention and of positions share: layers with drawn weights, and their linear maps in NumPy."""

import keras
import numpy as np
from keras import ops

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def built(layer, *shapes):
    """The layer with drawn weights."""
    layer.build(*shapes)
    for i, weight in enumerate(layer.weights):
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign(draw(*weight.shape, seed=10 + i) / np.sqrt(weight.shape[0]))
    return layer


def weights_of(layer):
    return {weight.path.split("/", 1)[-1]: ops.convert_to_numpy(weight) for weight in layer.weights}


def heads_of(layer, query, key=None):
    """What the layer's linear maps make of its input: queries, keys and values."""
    w, n, m = weights_of(layer), layer.num_heads, layer.num_key_value_heads or layer.num_heads
    if key is None:
        x = query @ w["query_key_value/kernel"] + w["query_key_value/bias"]
        x = x.reshape(*query.shape[:2], n + 2 * m, -1)
        return x[:, :, :n], x[:, :, n : n + m], x[:, :, n + m :]
    parts = {"query": (query, n), "key": (key, m), "value": (key, m)}
    maps = {p: x @ w[f"{p}/kernel"] + w[f"{p}/bias"] for p, (x, _) in parts.items()}
    return [maps[p].reshape(*x.shape[:2], count, -1) for p, (x, count) in parts.items()]


def joined(layer, means):
    w = weights_of(layer)
    return means.reshape(*means.shape[:2], -1) @ w["projection/kernel"] + w["projection/bias"]
