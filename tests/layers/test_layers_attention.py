"""Squeeze-excite, CBAM, ECA and non-local blocks against NumPy transcriptions and Keras's own attention."""

import keras
import numpy as np
import pytest
from computing import computed
from keras import ops

from kzoo import layers
from kzoo.layers.eca import adaptive_kernel_size


def numpy_of(x):
    return ops.convert_to_numpy(x)


def _drawn(layer, shape):
    """The layer, built with drawn weights, and an input."""
    layer.build(shape)
    for i, weight in enumerate(layer.weights):
        weight.assign(np.random.default_rng(i).normal(size=weight.shape))
    return layer, np.random.default_rng(99).normal(size=shape).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


SHAPE = (2, 5, 4, 8)


def test_squeeze_excite_is_the_papers_formula():
    layer, x = _drawn(layers.SqueezeExcite(4), SHAPE)
    w1, b1, w2, b2 = (numpy_of(w.value) for w in layer.weights)
    gates = sigmoid(np.maximum(x.mean((1, 2)) @ w1 + b1, 0) @ w2 + b2)
    assert w1.shape == (8, 2)
    np.testing.assert_allclose(computed(layer, x), x * gates[:, None, None], rtol=1e-5, atol=1e-6)


def test_channel_and_spatial_attention_are_the_papers_formulas_and_cbam_is_one_after_the_other():
    channels, x = _drawn(layers.ChannelAttention(4), SHAPE)
    w1, b1, w2, b2 = (numpy_of(w.value) for w in channels.weights)
    scores = [np.maximum(v @ w1 + b1, 0) @ w2 + b2 for v in (x.mean((1, 2)), x.max((1, 2)))]
    theirs = x * sigmoid(sum(scores))[:, None, None]
    np.testing.assert_allclose(computed(channels, x), theirs, rtol=1e-5, atol=1e-6)

    places, _ = _drawn(layers.SpatialAttention(3), SHAPE)
    kernel, bias = (numpy_of(w.value) for w in places.weights)
    maps = np.pad(np.stack([x.mean(-1), x.max(-1)], -1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(maps, (3, 3), axis=(1, 2))  # (b, h, w, 2, 3, 3)
    scores = np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias
    np.testing.assert_allclose(computed(places, x), x * sigmoid(scores), rtol=1e-5, atol=1e-6)

    both = layers.CBAM(4, 3)
    both.build(SHAPE)
    both.set_weights([*channels.get_weights(), *places.get_weights()])
    np.testing.assert_allclose(computed(both, x), computed(lambda x: places(channels(x)), x), rtol=1e-6)


def test_eca_is_a_convolution_along_the_channels_of_the_papers_size():
    layer, x = _drawn(layers.ECA(), SHAPE)
    kernel = numpy_of(layer.weights[0].value)[:, 0, 0]
    padded = np.pad(x.mean((1, 2)), ((0, 0), (1, 1)))
    scores = sum(k * padded[:, i : i + 8] for i, k in enumerate(kernel))
    assert len(layer.weights) == 1 and len(kernel) == 3
    np.testing.assert_allclose(computed(layer, x), x * sigmoid(scores)[:, None, None], rtol=1e-5)
    # |(log2(c) + 1) / 2| to an odd number, as for the ResNet of the paper
    assert [adaptive_kernel_size(c) for c in (8, 64, 128, 256, 512, 1024, 2048)] == [3, 3, 5, 5, 5, 5, 7]


@pytest.mark.parametrize("similarity", ["embedded_gaussian", "gaussian", "dot_product", "concatenation"])
def test_non_local_is_the_papers_formula(similarity):
    layer, x = _drawn(layers.NonLocal(3, similarity), SHAPE)
    flat = x.reshape(2, 20, 8)

    def linear(name, v):
        sub = getattr(layer, name)
        return v @ numpy_of(sub.kernel.value) + (0 if sub.bias is None else numpy_of(sub.bias.value))

    if similarity == "gaussian":
        weights = softmax(flat @ flat.swapaxes(1, 2))
    elif similarity == "concatenation":
        theta, phi = linear("queries", flat), linear("keys", flat)
        pairs = np.concatenate(
            [np.repeat(theta[:, :, None], 20, 2), np.repeat(phi[:, None], 20, 1)], axis=-1
        )  # (b, n, n, 2 d)
        w = np.concatenate([numpy_of(s.kernel.value) for s in (layer.query_score, layer.key_score)])
        weights = np.maximum((pairs @ w)[..., 0], 0) / 20
    else:
        scores = linear("queries", flat) @ linear("keys", flat).swapaxes(1, 2)
        weights = softmax(scores) if similarity == "embedded_gaussian" else scores / 20
    theirs = flat + linear("output_projection", weights @ linear("values", flat))
    np.testing.assert_allclose(computed(layer, x).reshape(theirs.shape), theirs, rtol=1e-4, atol=1e-4)


def test_the_embedded_gaussian_is_keras_attention_with_one_head_whose_queries_are_scaled():
    layer, x = _drawn(layers.NonLocal(4), SHAPE)
    attention = keras.layers.MultiHeadAttention(1, 4, output_shape=8)
    flat = x.reshape(2, 20, 8)
    attention.build(flat.shape, flat.shape)
    query, keys, values, output = layer.queries, layer.keys, layer.values, layer.output_projection
    attention.set_weights([
        2.0 * numpy_of(query.kernel.value)[:, None], 2.0 * numpy_of(query.bias.value)[None],  # √4
        numpy_of(keys.kernel.value)[:, None], np.zeros((1, 4)),
        numpy_of(values.kernel.value)[:, None], numpy_of(values.bias.value)[None],
        numpy_of(output.kernel.value)[None], numpy_of(output.bias.value),
    ])  # fmt: skip
    theirs = computed(lambda x: x + attention(x, x), flat).reshape(SHAPE)
    np.testing.assert_allclose(computed(layer, x), theirs, rtol=1e-4, atol=1e-4)


def test_a_new_non_local_block_is_the_identity_and_pooling_takes_the_largest_of_each_window():
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    new = layers.NonLocal()
    new.build(x.shape)
    np.testing.assert_array_equal(computed(new, x), x)
    pooled, _ = _drawn(layers.NonLocal(2, "gaussian", pool_size=2), x.shape)
    small = x.reshape(1, 2, 2, 2, 2, 2).max((2, 4)).reshape(1, 4, 2)
    weights = softmax(x.reshape(1, 16, 2) @ small.swapaxes(1, 2))
    v, b, w, c = (numpy_of(t.value) for t in pooled.weights)
    theirs = x + ((weights @ (small @ v + b)) @ w + c).reshape(x.shape)
    np.testing.assert_allclose(computed(pooled, x), theirs, rtol=1e-4, atol=1e-5)
