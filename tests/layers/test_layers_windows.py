"""Attention within windows against a NumPy transcription, and what may see what."""

import numpy as np
import pytest
from computing import computed
from keras import ops

from kzoo import layers


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def transcription(x, weights, heads, m, shift):
    """Place by place: which places share its (shifted) window and its side of the border, and what they say."""
    (w, b, projection, bias), table = weights[:4], weights[4]
    _, h, v, c = x.shape
    height, width = -(-h // m) * m, -(-v // m) * m
    x = np.pad(x, ((0, 0), (0, height - h), (0, width - v), (0, 0)))
    q, k, values = np.split(x @ w + b, 3, -1)
    shifts = [shift if size > m else 0 for size in (height, width)]
    out, d = np.zeros_like(x), c // heads
    places = [(i, j) for i in range(height) for j in range(width)]

    def window(place):  # after rolling up and left by the shift; the wrapped side is another one
        rolled = [(p - s) % size for p, s, size in zip(place, shifts, (height, width))]
        wrapped = [p < s for p, s in zip(place, shifts)]
        return (rolled[0] // m, rolled[1] // m, *wrapped), rolled

    known = {place: window(place) for place in places}
    for place in places:
        seen = [other for other in places if known[other][0] == known[place][0]]
        rows = [
            (known[place][1][0] - known[o][1][0] + m - 1) * (2 * m - 1)
            + known[place][1][1]
            - known[o][1][1]
            + m
            - 1
            for o in seen
        ]
        for head in range(heads):
            part = slice(head * d, (head + 1) * d)
            keys = np.stack([k[:, i, j, part] for i, j in seen], 1)  # (b, seen, d)
            scores = np.einsum("bd,bsd->bs", q[:, *place, part], keys) / np.sqrt(d) + table[rows, head]
            said = np.stack([values[:, i, j, part] for i, j in seen], 1)
            out[:, *place, part] = np.einsum("bs,bsd->bd", softmax(scores), said)
    return (out @ projection + bias)[:, :h, :v]


@pytest.mark.parametrize(
    ("shape", "window", "shift"),
    [((2, 6, 6, 4), 3, 0), ((2, 6, 9, 4), 3, 1), ((1, 5, 7, 4), 3, 1), ((2, 3, 8, 4), 4, 2)],
)
def test_window_attention_is_the_papers_formula_shifted_and_padded_too(shape, window, shift):
    layer = layers.WindowAttention(2, window, shift)
    layer.build(shape)
    for i, weight in enumerate(layer.weights):
        weight.assign(np.random.default_rng(i).normal(size=weight.shape) * 0.5)
    named = {weight.path.split("/", 1)[-1]: ops.convert_to_numpy(weight) for weight in layer.weights}
    parts = ("query_key_value/kernel", "query_key_value/bias", "projection/kernel", "projection/bias")
    weights = [named[name] for name in (*parts, "relative_position_bias")]
    x = np.random.default_rng(9).normal(size=shape).astype("float32")
    theirs = transcription(x.astype("float64"), weights, 2, window, shift)
    np.testing.assert_allclose(computed(layer, x), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: layers.WindowAttention(2, 4, 4), None, "shift_size=4"),
        (lambda: layers.WindowAttention(0), None, "num_heads=0"),
        (lambda: layers.WindowAttention(3), (None, 8, 8, 4), "num_heads=3"),
        (lambda: layers.WindowAttention(2), (None, None, 8, 4), "fixed height and width"),
        (lambda: layers.WindowAttention(2), (None, 64, 4), "(None, 64, 4)"),
    ],
)
def test_wrong_windows_are_refused_with_what_was_received(make, shape, message):
    with pytest.raises(ValueError) as error:
        make().build(shape)
    assert message in str(error.value) and "Received:" in str(error.value)
