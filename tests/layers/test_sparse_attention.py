"""Sparse attention is dense attention under the mask of the same name, in less memory."""

import attention_by_hand as by_hand
import keras
import numpy as np
import pytest
from computing import computed
from keras import ops

import kzoo
from kzoo.ops import (
    block_mask,
    block_sparse_attention,
    dot_product_attention,
    fixed_layout,
    local_attention,
    strided_attention,
    strided_mask,
    window_layout,
)

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def heads(t):
    """Queries, keys and values: four heads of queries share two of keys."""
    return draw(2, t, 4, 6, seed=1), draw(2, t, 2, 6, seed=2), draw(2, t, 2, 3, seed=3)


T = 19  # no whole number of blocks
KEYS = np.random.default_rng(4).random((2, T)) < 0.8
KEYS[1, :6] = False  # with a local window the first queries see nothing
LAYOUT = window_layout(5, 2, num_global=1)
LAYOUT[3] = False  # a row of blocks that sees nothing

CASES = {  # name: ours of heads and a mask of keys, and the mask of pairs
    "local": (lambda *h, m: local_attention(*h, 3, key_mask=m, block_size=4), by_hand.local(T, T, 3)),
    "local, causal": (
        lambda *h, m: local_attention(*h, 4, key_mask=m, block_size=4, causal=True),
        by_hand.local(T, T, 4) & by_hand.causal(T, T),
    ),
    "local, one block": (lambda *h, m: local_attention(*h, 3, key_mask=m), by_hand.local(T, T, 3)),
    "strided": (
        lambda *h, m: strided_attention(*h, 4, key_mask=m, causal=False), by_hand.strided(T, 4, False),
    ),
    "strided, causal": (lambda *h, m: strided_attention(*h, 4, key_mask=m), by_hand.strided(T, 4, True)),
    "blocks": (
        lambda *h, m: block_sparse_attention(*h, LAYOUT, 4, key_mask=m),
        np.kron(LAYOUT, np.ones((4, 4), bool))[:T, :T],
    ),
    "blocks, causal": (
        lambda *h, m: block_sparse_attention(*h, fixed_layout(10, 3), 2, key_mask=m, causal=True),
        np.kron(fixed_layout(10, 3), np.ones((2, 2), bool))[:T, :T] & by_hand.causal(T, T),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_sparse_attention_is_masked_dense_attention_with_its_gradients(name, doubles):
    ours, seen = CASES[name]
    target = draw(2, T, 4, 3, seed=5)

    def both(*heads):
        outputs = [ours(*heads, m=KEYS), ours(*heads, m=None)]
        dense = [dot_product_attention(*heads, mask=m) for m in (seen & KEYS[:, None], seen)]
        calls = [lambda h: ours(*h, m=KEYS), lambda h: dot_product_attention(*h, mask=seen & KEYS[:, None])]
        losses = [lambda h, call=call: ops.sum(ops.multiply(call(h), target)) for call in calls]
        gradients = [kzoo.grad(loss)(list(heads)) for loss in losses]
        return outputs, dense, gradients

    outputs, dense, (a, b) = computed(both, *heads(T))
    for output, other, keys in zip(outputs, dense, (KEYS[:, None, None], True)):
        np.testing.assert_allclose(output, by_hand.attend(*heads(T), seen & keys)[0], **EXACT)
        np.testing.assert_allclose(output, other, **EXACT)
    for x, y in zip(a, b):
        np.testing.assert_allclose(x, y, **EXACT)


def test_a_single_place_and_whole_blocks_are_served(doubles):
    def ours(one, whole):
        return (
            [local_attention(*one, 3), strided_attention(*one, 3), block_sparse_attention(*one, [[True]], 4)],
            [
                local_attention(*whole, 2, block_size=2, causal=True),
                strided_attention(*whole, 3),
                block_sparse_attention(*whole, window_layout(4, 4), 3),
            ],
        )

    one, whole = computed(ours, heads(1), heads(12))
    for output in one:
        np.testing.assert_allclose(output, np.repeat(heads(1)[2], 2, axis=2), **EXACT)
    masks = by_hand.local(12, 12, 2) & by_hand.causal(12, 12), by_hand.strided(12, 3, True), None
    for output, mask in zip(whole, masks):
        np.testing.assert_allclose(output, by_hand.attend(*heads(12), mask)[0], **EXACT)


@pytest.mark.once
class SelfAttention(keras.layers.Layer):
    """A layer of one function of queries, keys and values."""

    def __init__(self, attend):
        super().__init__()
        self.attend = attend

    def call(self, x):
        return self.attend(x, x[:, :, :2], x[:, :, 2:])


@pytest.mark.parametrize(
    ("name", "length"), [("local", T), ("local", None), ("strided", T), ("strided", None), ("blocks", T)]
)
def test_a_compiled_model_gives_what_its_layer_gives(name, length):
    layer = SelfAttention(lambda *heads: CASES[name][0](*heads, m=None))
    inputs = keras.Input((length, 4, 6))
    model = keras.Model(inputs, layer(inputs))
    x = draw(2, T, 4, 6).astype("float32")
    # TensorFlow's own kernels for compiled programs refuse what its eager ones take
    np.testing.assert_allclose(model.predict(x, verbose=0), computed(layer, x), rtol=1e-5, atol=1e-6)


def test_masks_and_layouts_are_the_papers_patterns():
    for causal in (True, False):
        mask = ops.convert_to_numpy(strided_mask(9, 3, causal=causal))
        np.testing.assert_array_equal(mask, by_hand.strided(9, 3, causal))
    np.testing.assert_array_equal(
        window_layout(4, 1, num_global=1),
        [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]],
    )
    np.testing.assert_array_equal(
        fixed_layout(4, 2), [[1, 1, 0, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    )
    np.testing.assert_array_equal(
        block_mask([[True, False], [True, True]], 2, 3, causal=True), np.tril(np.ones((3, 3))) > 0
    )
    assert block_mask(window_layout(3), 2, 5).sum() == 4 + 4 + 1


def test_memory_is_below_the_square_of_the_length():
    """Counted on JAX, whose programs tell how much they take."""
    import keras

    if keras.config.backend() != "jax":
        pytest.skip("only JAX's programs tell how much memory they take")
    import jax

    def taken(call, t):
        arrays = [jax.ShapeDtypeStruct((1, t, 2, 8), "float32")] * 3
        step = jax.jit(jax.grad(lambda *h: ops.sum(call(*h)), argnums=(0, 1, 2)))
        return step.lower(*arrays).compile().memory_analysis().temp_size_in_bytes

    calls = {
        "local": (lambda *h: local_attention(*h, 32), 2.3),
        "strided": (lambda *h: strided_attention(*h, 32), 3.0),
        "dense": (lambda *h: dot_product_attention(*h), 4.2),
    }
    growth = {name: taken(call, 2048) / taken(call, 1024) for name, (call, _) in calls.items()}
    assert growth["dense"] > 3.5
    assert all(growth[name] < most for name, (_, most) in calls.items()), growth
    assert taken(calls["local"][0], 2048) < taken(calls["dense"][0], 2048) / 8


@pytest.mark.once
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *h: local_attention(*h, 0), "window=0"),
        (lambda *h: local_attention(*h, 8, block_size=4), "block_size=4"),
        (lambda *h: strided_attention(*h, 0), "stride=0"),
        (lambda *h: block_sparse_attention(*h, window_layout(3), 4), "layout of (3, 3) blocks"),
        (lambda *h: block_sparse_attention(*h, np.ones((5, 5)), 4), "dtype=float64"),
        (lambda *h: window_layout(0), "num_blocks=0"),
    ],
)
def test_wrong_patterns_are_refused_with_what_was_received(call, message):
    with pytest.raises(ValueError) as error:
        call(*heads(T))
    assert message in str(error.value) and "Received:" in str(error.value)
