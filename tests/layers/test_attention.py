"""Attention as a function against NumPy: fused as written out, masked, biased, in half precision."""

import attention_by_hand as by_hand
import keras
import numpy as np
import pytest
from attention_layers import EXACT, draw
from computing import computed
from keras import ops

import kzoo
from kzoo.ops import causal_mask, combine_masks, dot_product_attention, local_mask, padding_mask

T, S = 5, 7  # odd lengths, and another of keys
EMPTY = np.ones((2, 1, T, S), bool)
EMPTY[0, 0, 2] = EMPTY[1, 0, 0] = False  # queries that see nothing
SETTINGS = {
    "plain": {},
    "scaled": {"scale": 1.0},
    "causal": {"causal": True},
    "causal after other keys": {"causal": True, "offset": 2},
    "masked, some wholly": {"mask": EMPTY},
    "all at once": {"mask": EMPTY, "causal": True, "bias": draw(1, 4, T, S, seed=8)},
    "biased and causal": {"causal": True, "bias": draw(1, 4, T, S, seed=8)},
}


@pytest.fixture
def heads():
    """Queries, keys and values: four heads of queries share two of keys."""
    return draw(2, T, 4, 6, seed=1), draw(2, S, 2, 6, seed=2), draw(2, S, 2, 3, seed=3)


def by_numpy(query, key, value, mask=True, causal=False, offset=0, **options):
    if causal:
        mask = mask & by_hand.causal(query.shape[1], key.shape[1], offset)
    return by_hand.attend(query, key, value, mask, **options)


@pytest.mark.parametrize("weights", [False, True], ids=["fused", "written out"])
def test_attention_is_the_formula_in_every_setting(heads, weights, doubles):
    def ours(*heads):
        calls = SETTINGS.items()
        return {
            name: dot_product_attention(*heads, return_weights=weights, **options) for name, options in calls
        }

    for name, outputs in computed(ours, *heads).items():
        theirs = by_numpy(*heads, **SETTINGS[name])
        outputs = outputs if weights else (outputs,)
        for ours_now, theirs_now in zip(outputs, theirs):
            np.testing.assert_allclose(ours_now, theirs_now, **EXACT, err_msg=name)


def test_a_query_that_sees_nothing_has_zeros_and_gradients_of_zeros_on_both_ways(heads, doubles):
    target = draw(2, T, 4, 3, seed=5)

    def loss(heads, weights):
        results = dot_product_attention(*heads, mask=EMPTY, return_weights=weights)
        return ops.sum(ops.multiply(results[0] if weights else results, target))

    def gradients(*heads):
        return [kzoo.grad(loss)(list(heads), weights) for weights in (False, True)]

    fused, written = computed(gradients, *heads)
    for a, b in zip(fused, written):
        np.testing.assert_allclose(a, b, **EXACT)
    query = fused[0]
    assert not query[0, 2].any() and not query[1, 0].any() and query[0, 1].all()
    unseen = ~EMPTY.any((1, 2))  # no key here: all are seen by some query
    assert not unseen.any() and np.isfinite(np.concatenate([g.ravel() for g in fused])).all()
    nothing = np.zeros((2, 1, T, S), bool)
    blank = computed(lambda *heads: kzoo.value_and_grad(lambda h: ops.sum(dot_product_attention(*h, mask=nothing)))(
        list(heads)), *heads)  # fmt: skip
    assert all(not np.any(part) for part in keras.tree.flatten(blank))


def test_gradients_are_those_of_the_formula(heads, doubles):
    target, step = draw(2, T, 4, 3, seed=5), 1e-6
    options = SETTINGS["all at once"]

    def gradient(*heads):
        return kzoo.grad(lambda h: ops.sum(ops.multiply(dot_product_attention(*h, **options), target)))(
            list(heads)
        )

    gradients = computed(gradient, *heads)
    for i, place in enumerate([(0, 1, 2, 3), (1, 0, 1, 2), (0, 2, 0, 1)]):
        sides = []
        for sign in (1, -1):
            moved = [x.copy() for x in heads]
            moved[i][place] += sign * step
            sides.append((by_numpy(*moved, **options)[0] * target).sum())
        np.testing.assert_allclose(
            gradients[i][place], (sides[0] - sides[1]) / (2 * step), rtol=1e-6, atol=1e-9
        )


def test_gradients_of_gradients_go_through_attention(heads):
    def penalty(query, key, value):
        slope = kzoo.grad(lambda q: ops.sum(ops.square(dot_product_attention(q, key, value, causal=True))))(
            query
        )
        return ops.sum(ops.square(slope))

    query, key, value = (x.astype("float32") for x in heads)
    second = computed(lambda *heads: kzoo.grad(penalty)(*heads), query, key, value)
    assert np.isfinite(second).all() and np.abs(second).max() > 0


def test_half_precision_has_its_softmax_in_float32():
    query, key, value = (draw(1, 3, 2, 8, seed=i).astype("float32") for i in range(3))

    def ours(*heads):
        heads = [ops.cast(x, "bfloat16") for x in heads]
        output, weights = dot_product_attention(*heads, scale=8.0, return_weights=True)
        return (
            ops.cast(output, "float32"),
            weights,
            ops.cast(dot_product_attention(*heads, scale=8.0), "float32"),
        )

    rounded = computed(
        lambda *heads: [ops.cast(ops.cast(x, "bfloat16"), "float32") for x in heads], query, key, value
    )
    means, weights = by_hand.attend(*(np.asarray(x, "float64") for x in rounded), scale=8.0)
    output, ours_weights, fused = computed(ours, query, key, value)
    assert ours_weights.dtype == np.float32
    np.testing.assert_allclose(ours_weights.sum(-1), 1, atol=1e-6)
    for x in (output, fused):
        np.testing.assert_allclose(x, means, atol=0.06)
    np.testing.assert_allclose(ours_weights, weights, atol=0.06)


def test_dropout_drops_weights_by_the_seed_and_keeps_their_mean():
    ones = np.ones((4, 8, 2, 8), "float32")

    def ours(x):
        runs = [
            dot_product_attention(x, x, x, dropout=0.5, seed=seed, return_weights=True) for seed in (1, 1, 2)
        ]
        return [weights for _, weights in runs], runs[0][0]

    (first, again, other), output = computed(ours, ones)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and set(np.unique(np.round(first * 4, 4))) == {0.0, 1.0}
    np.testing.assert_allclose(output[..., 0], first.sum(-1).transpose(0, 2, 1), rtol=1e-5)
    assert 0.4 < (first == 0).mean() < 0.6


@pytest.mark.once
def test_masks_are_what_they_are_called():
    np.testing.assert_array_equal(ops.convert_to_numpy(causal_mask(3, 5, offset=2)), by_hand.causal(3, 5, 2))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(local_mask(4, 2, 6, offset=1)), by_hand.local(4, 6, 2, 1)
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(padding_mask([1, 3], 3)), [[True, False, False], [True] * 3]
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(padding_mask([1, 3], 3, "left")), [[False, False, True], [True] * 3]
    )
    rows, columns = ops.array([[True, False]]), ops.array([[[True], [False]]])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(combine_masks(None, rows, columns)), [[[[True, False], [False, False]]]]
    )
    assert combine_masks(None) is None
