"""Layers of attention against NumPy, Keras's own and themselves: with the cache as without."""

import itertools

import attention_by_hand as by_hand
import keras
import numpy as np
import pytest
from attention_layers import EXACT, built, draw, heads_of, joined, weights_of
from computing import computed
from keras import ops

import kzoo
from kzoo import layers
from kzoo.ops import dot_product_attention, padding_mask

LAYERS = {
    "itself": lambda: layers.MultiHeadAttention(4),
    "causal, grouped, other head length": lambda: layers.MultiHeadAttention(
        4, 6, num_key_value_heads=2, causal=True
    ),
    "one head of keys": lambda: layers.MultiHeadAttention(4, num_key_value_heads=1, scale=0.5),
    "window": lambda: layers.MultiHeadAttention(2, window=3),
    "causal window": lambda: layers.MultiHeadAttention(2, window=3, causal=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_the_formula_for_odd_lengths_and_length_one_with_padding(name, doubles):
    layer = built(LAYERS[name](), (2, 7, 8))
    x, mask = draw(2, 7, 8), np.arange(7) < np.array([[7], [4]])

    def ours(x):
        output, weights = layer(x, mask=mask, return_weights=True)
        return output, weights, layer(x, mask=mask), layer(x[:, :1])

    output, weights, without, single = computed(ours, x)

    def theirs(x, mask):
        t = x.shape[1]
        seen = np.broadcast_to(mask[:, None, None], (len(x), 1, t, t))
        seen = seen & by_hand.causal(t, t) if layer.causal else seen
        seen = seen & by_hand.local(t, t, layer.window) if layer.window else seen
        means, weights = by_hand.attend(*heads_of(layer, x), seen, scale=layer.scale)
        return joined(layer, means), weights

    expected, expected_weights = theirs(x, mask)
    np.testing.assert_allclose(output, expected, **EXACT)
    np.testing.assert_allclose(without, expected, **EXACT)
    np.testing.assert_allclose(weights, expected_weights, **EXACT)
    np.testing.assert_allclose(weights[0].sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(single, theirs(x[:, :1], np.ones((2, 1), bool))[0], **EXACT)


def test_cross_attention_is_the_formula_also_from_a_cache_and_where_nothing_is_there(doubles):
    layer = built(layers.MultiHeadAttention(4, num_key_value_heads=2), (2, 3, 8), (2, 5, 6))
    x, memory, mask = draw(2, 3, 8), draw(2, 5, 6, seed=1), np.arange(5) < np.array([[3], [0]])

    def ours(x, memory):
        cached, cache = layer(x, cache=layer.keys_and_values(memory), key_mask=mask)
        return layer(x, memory, key_mask=mask), layer(x, memory, memory, key_mask=mask), cached, cache

    *outputs, cache = computed(ours, x, memory)
    theirs = joined(layer, by_hand.attend(*heads_of(layer, x, memory), mask[:, None, None])[0])
    for output in outputs:
        np.testing.assert_allclose(output, theirs, **EXACT)
    assert cache[0].shape == (2, 5, 2, 2)
    np.testing.assert_allclose(outputs[0][1], np.broadcast_to(weights_of(layer)["projection/bias"], (3, 8)))


@pytest.mark.parametrize("grouped", [False, True])
def test_it_is_keras_attention_with_the_same_weights(grouped):
    n, m = 4, 2 if grouped else 4
    ours = built(layers.MultiHeadAttention(n, num_key_value_heads=m), (2, 6, 8))
    if grouped:
        theirs = keras.layers.GroupQueryAttention(2, n, m)
    else:
        theirs = keras.layers.MultiHeadAttention(n, 2)
    theirs.build((2, 6, 8), (2, 6, 8))
    w = weights_of(ours)
    kernels = np.split(w["query_key_value/kernel"], [8, 8 + 2 * m], axis=-1)
    biases = np.split(w["query_key_value/bias"], [8, 8 + 2 * m])
    parts = [p for pair in zip(kernels, biases, (n, m, m)) for p in (
        pair[0].reshape(8, pair[2], 2), pair[1].reshape(pair[2], 2))]  # fmt: skip
    theirs.set_weights([*parts, w["projection/kernel"].reshape(n, 2, 8), w["projection/bias"]])
    x = draw(2, 6, 8).astype("float32")
    mask = np.ones((2, 6, 6), bool)
    mask[:, :, 4:] = False

    def both(x):
        options = {"attention_mask": mask, "return_attention_scores": True}
        return ours(x, attention_mask=mask, return_weights=True), theirs(x, x, **options)

    for a, b in zip(*computed(both, x)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_masked_input_is_not_seen_and_masks_the_output():
    tokens = np.array([[3, 4, 0, 0], [1, 2, 3, 4]])
    embedding = keras.layers.Embedding(6, 8, mask_zero=True)
    layer = built(layers.MultiHeadAttention(2), (2, 4, 8))
    embedding.build()
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, layer(embedding(inputs)))
    output = computed(model, tokens)
    alone = computed(model, tokens[:1, :2])
    np.testing.assert_allclose(output[0, :2], alone[0], rtol=1e-4, atol=1e-6)
    # as a layer that carries masks on
    pooled = keras.layers.GlobalAveragePooling1D()
    both = computed(lambda x: pooled(layer(embedding(x))), tokens)
    np.testing.assert_allclose(both[0], alone[0].mean(0), rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- the cache

POSITIONS = {
    "none": lambda: None,
    "rotary": layers.RotaryPosition,
    "ALiBi": layers.ALiBi,
    "T5": lambda: layers.T5Position(8, 12, bidirectional=False),
    "Shaw": lambda: layers.ShawPosition(3),
    "Transformer-XL": layers.TransformerXLPosition,
    "disentangled": lambda: layers.DisentangledPosition(3),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_step_by_step_with_a_cache_is_all_at_once_with_prompts_of_different_lengths(name, doubles):
    options = {"num_key_value_heads": 2, "causal": True, "window": 4 if name == "none" else None}
    layer = built(layers.MultiHeadAttention(4, position=POSITIONS[name](), **options), (2, 6, 8))
    x, there = draw(2, 6, 8), np.arange(6) >= np.array([[0], [2]])  # padded on the left

    def ours(x):
        whole = layer(x, mask=there)
        alone = layer(x[1:, 2:])
        found = []
        # A number: over what is filled. A tensor: over the whole buffer.
        for kind, ends in ((int, (0, 3, 6)), (ops.convert_to_tensor, (0, 5, 6))):
            outputs, cache, mask = [], layer.empty_cache(2, 8), np.pad(there, ((0, 0), (0, 2)))
            for first, last in itertools.pairwise(ends):
                y, cache = layer(x[:, first:last], cache=cache, cache_index=kind(first), key_mask=mask)
                outputs.append(y)
            found.append(ops.concatenate(outputs, axis=1))
        return whole, alone, *found

    whole, alone, *stepped = computed(ours, x)
    for outputs in stepped:
        np.testing.assert_allclose(outputs[0], whole[0], **EXACT)
        np.testing.assert_allclose(outputs[1, 2:], whole[1, 2:], **EXACT)
    np.testing.assert_allclose(alone[0], whole[1, 2:], **EXACT)  # positions are relative: a shift is nothing


def test_without_gradients_the_cache_is_the_same():
    layer = built(layers.MultiHeadAttention(2, causal=True), (1, 3, 4))
    x = ops.convert_to_tensor(draw(1, 3, 4).astype("float32"))

    def ours(x):
        cache = layer.empty_cache(1, 4)
        outputs = []
        for i in range(3):
            y, cache = layer(x[:, i : i + 1], cache=cache, cache_index=ops.convert_to_tensor(i))
            outputs.append(y)
        return ops.concatenate(outputs, axis=1), layer(x)

    with kzoo.backend.no_grad():
        stepped, whole = computed(ours, x)
    np.testing.assert_allclose(stepped, whole, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- additive attention


def test_additive_attention_is_the_papers_formula_for_one_query_and_for_many(doubles):
    layer = built(layers.BahdanauAttention(5), (2, 3, 4), (2, 7, 6))
    query, key, mask = draw(2, 3, 4), draw(2, 7, 6, seed=1), np.arange(7) < np.array([[5], [0]])

    def ours(query, key):
        many = layer(query, key, key_mask=mask)
        return many, layer(query[:, 0], key, key_mask=mask, projected=layer.projected(key)), layer(query, key)

    many, one, unmasked = computed(ours, query, key)
    names = ("query_projection/kernel", "key_projection/kernel", "key_projection/bias", "score")
    weights = [weights_of(layer)[name] for name in names]
    means, shares = by_hand.bahdanau(query, key, *weights, mask)
    for (a, b), (x, y) in {
        "many": (many, (means, shares)),
        "one": (one, (means[:, 0], shares[:, 0])),
    }.values():
        np.testing.assert_allclose(a, x, **EXACT)
        np.testing.assert_allclose(b, y, **EXACT)
    for a, b in zip(unmasked, by_hand.bahdanau(query, key, *weights)):
        np.testing.assert_allclose(a, b, **EXACT)


# ---------------------------------------------------------------- what every layer owes


def test_one_position_serves_several_layers_and_is_so_again_after_loading(tmp_path):
    shared = layers.T5Position(8, 12)
    inputs = keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, position=shared, name="first")(inputs)
    model = keras.Model(inputs, layers.MultiHeadAttention(2, position=shared, name="second")(x))
    for i, weight in enumerate(model.weights):
        weight.assign(draw(*weight.shape, seed=i))
    model.save(tmp_path / "shared.keras")
    loaded = keras.models.load_model(tmp_path / "shared.keras")
    assert loaded.get_layer("first").position is loaded.get_layer("second").position
    assert len(loaded.weights) == len(model.weights) == 9
    x = draw(2, 5, 8).astype("float32")
    np.testing.assert_array_equal(*computed(lambda x: (model(x), loaded(x)), x))


def test_it_runs_in_bfloat16_with_dropout_positions_and_cache():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = layers.MultiHeadAttention(2, causal=True, dropout=0.5, position=layers.RotaryPosition(), seed=1)
    layer.build((2, 4, 8))
    x = draw(2, 4, 8).astype("float32")

    def ours(x):
        trained, (again, cache) = (
            layer(x, training=True),
            layer(x, cache=layer.empty_cache(2, 6), cache_index=0),
        )
        return [(ops.cast(y, "float32"), y.dtype == cache[0].dtype) for y in (trained, again, layer(x))]

    (trained, _), (cached, same), (plain, _) = computed(ours, x)
    assert same and np.isfinite(trained).all() and np.abs(trained - plain).max() > 0
    np.testing.assert_allclose(cached, plain, atol=0.05)


@pytest.mark.once
def test_its_products_are_counted():
    inputs = keras.Input((6, 8))
    layer = layers.MultiHeadAttention(4, num_key_value_heads=2, causal=True, window=3)
    model = keras.Model(inputs, layer(inputs))
    assert kzoo.models.cost.multiply_adds(model) == 6 * (8 * (8 + 4 + 4) + 8 * 8) + 6 * 3 * 2 * 8


@pytest.mark.once
@pytest.mark.parametrize("seed", [None, 1])
def test_parts_of_the_joint_kernel_are_drawn_apart(seed):
    layer = layers.MultiHeadAttention(2, kernel_initializer=keras.initializers.GlorotUniform(seed))
    layer.build((None, None, 32))
    parts = np.split(ops.convert_to_numpy(layer.query_key_value.kernel), 3, axis=-1)
    assert not np.array_equal(parts[0], parts[1]) and not np.array_equal(parts[1], parts[2])
    limit = np.sqrt(6 / 64)
    assert all(0.9 * limit < np.abs(part).max() <= limit for part in parts)


def _call(layer, *shapes, **options):
    return lambda: layer(*(np.zeros(shape, "float32") for shape in shapes), **options)


REFUSED = {  # what is wrong: what raises, what the message must say
    "heads that do not divide": (_call(layers.MultiHeadAttention(3), (1, 2, 8)), "num_heads=3"),
    "no heads": (lambda: layers.MultiHeadAttention(0), "num_heads=0"),
    "groups that do not divide": (
        lambda: layers.MultiHeadAttention(4, num_key_value_heads=3), "num_key_value_heads=3",
    ),
    "window of nothing": (lambda: layers.MultiHeadAttention(4, window=0), "window=0"),
    "dropout of one": (lambda: layers.MultiHeadAttention(4, dropout=1.0), "dropout=1.0"),
    "a cache before there are sizes": (lambda: layers.MultiHeadAttention(4, name="x").empty_cache(1, 2), "layer='x'"),
    "no position": (lambda: layers.MultiHeadAttention(4, position="rotary"), "position='rotary'"),
    "images": (_call(layers.MultiHeadAttention(2), (1, 2, 2, 8)), "(1, 2, 2, 8)"),
    "causal across": (_call(layers.MultiHeadAttention(2, causal=True), (1, 2, 8), (1, 3, 8)), "causal=True"),
    "rotated across": (
        _call(layers.MultiHeadAttention(2, position=layers.RotaryPosition()), (1, 2, 8), (1, 3, 8)), "rotation",
    ),
    "a cache without order": (
        _call(layers.MultiHeadAttention(2), (1, 2, 8), cache=(1, 2), cache_index=0), "causal=False",
    ),
    "a cache without a place": (
        _call(layers.MultiHeadAttention(2, causal=True), (1, 2, 8), cache=(1, 2)), "cache_index=None",
    ),
    "odd turns": (_call(layers.MultiHeadAttention(2, 3, position=layers.RotaryPosition()), (1, 2, 8)), "head_dim=3"),
    "keys of other heads": (
        lambda: dot_product_attention(*(np.zeros((1, 2, n, 4)) for n in (3, 2, 2))), "(1, 2, 3, 4)",
    ),
    "a mask without axes": (
        lambda: dot_product_attention(*[np.zeros((1, 2, 2, 4))] * 3, mask=np.ones(2, bool)), "(2,)",
    ),
    "padding in the middle": (lambda: padding_mask([1], 2, "middle"), "side='middle'"),
    "units of nothing": (lambda: layers.BahdanauAttention(0), "units=0"),
    "a query of four axes": (_call(layers.BahdanauAttention(2), (1, 2, 3, 4), (1, 2, 4)), "(1, 2, 3, 4)"),
}  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize("what", REFUSED)
def test_wrong_calls_are_refused_with_what_was_received(what):
    raises, message = REFUSED[what]
    with pytest.raises(ValueError) as error:
        raises()
    assert message in str(error.value) and "Received:" in str(error.value)


@pytest.mark.once
def test_what_a_layer_was_not_built_for_is_refused():
    x = np.zeros((1, 2, 8), "float32")
    own, across = layers.MultiHeadAttention(2, causal=True), layers.MultiHeadAttention(2)
    own(x), across(x, x)
    with pytest.raises(ValueError, match="its own input"):
        own(x, x)
    with pytest.raises(ValueError, match="another sequence"):
        across(x)
    with pytest.raises(ValueError, match="give key_mask"):
        own(x, mask=np.ones((1, 2), bool), cache=own.empty_cache(1, 4), cache_index=0)
    with pytest.raises(ValueError, match=r"3 places.*cache_index=2, and 2 queries"):
        own(x, cache=own.empty_cache(1, 3), cache_index=2)
