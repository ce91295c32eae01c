"""Positions within attention, each against a NumPy transcription of its paper; T5 and DeBERTa against Transformers."""

import attention_by_hand as by_hand
import keras
import numpy as np
import pytest
from attention_layers import EXACT, built, draw, heads_of, joined, weights_of
from computing import computed
from keras import ops

from kzoo import layers
from kzoo.layers.positions import alibi_slopes
from kzoo.ops.relative import relative_shift, relative_unshift

T5 = {"bidirectional": True, "num_buckets": 8, "max_distance": 6}
CAUSAL_T5 = {"bidirectional": False, "num_buckets": 6, "max_distance": 9}
T5_CASES = {"T5": T5, "causal T5": CAUSAL_T5}
POSITIONS = {
    "rotary": layers.RotaryPosition,
    "rotary, interleaved": lambda: layers.RotaryPosition(100.0, interleaved=True),
    "rotary, in part": lambda: layers.RotaryPosition(dim=2),
    "ALiBi": layers.ALiBi,
    "T5": lambda: layers.T5Position(**T5),
    "causal T5": lambda: layers.T5Position(**CAUSAL_T5),
    "Shaw": lambda: layers.ShawPosition(3),
    "Transformer-XL": lambda: layers.TransformerXLPosition(6),
    "disentangled": lambda: layers.DisentangledPosition(3, dim=5),
}


def rotated(name, query, key, offset=0):
    options = {
        "rotary": {},
        "rotary, interleaved": {"interleaved": True, "max_wavelength": 100.0},
        "rotary, in part": {"dim": 2},
    }[name]
    return by_hand.rotary(query, offset, **options), by_hand.rotary(key, offset, **options)


def by_numpy(name, layer, x, mask):
    """The means of values that the paper's formula gives."""
    query, key, value = heads_of(layer, x)
    w = {path.split("/", 1)[-1]: value for path, value in weights_of(layer).items()}
    t = x.shape[1]
    if name.startswith("rotary"):
        return by_hand.attend(*rotated(name, query, key), value, mask)[0]
    if name == "ALiBi":
        return by_hand.attend(query, key, value, mask, by_hand.alibi(t, t, [2**-2, 2**-4, 2**-6, 2**-8]))[0]
    if name in T5_CASES:
        return by_hand.attend(query, key, value, mask, by_hand.t5(t, t, w["embeddings"], **T5_CASES[name]))[0]
    if name == "Shaw":
        key, value = (np.repeat(x, 2, axis=2) for x in (key, value))
        return by_hand.shaw(query, key, value, w["key_embeddings"], w["value_embeddings"], mask)
    if name == "Transformer-XL":
        vectors = w["content_bias"], w["position_bias"]
        return by_hand.transformer_xl(
            query, key, value, ops.convert_to_numpy(layer.position.projection.kernel), *vectors, mask
        )
    parts = layer.position.key_projection, layer.position.query_projection
    kernels = (
        ops.convert_to_numpy(parts[0].kernel),
        ops.convert_to_numpy(parts[1].kernel),
        ops.convert_to_numpy(parts[1].bias),
    )
    return by_hand.disentangled(query, key, value, w["embeddings"], *kernels, mask)


@pytest.mark.parametrize("name", POSITIONS)
def test_each_position_is_its_papers_formula_for_odd_lengths_length_one_and_empty_rows(name, doubles):
    options = {"num_key_value_heads": 2, "causal": name == "causal T5"}
    layer = built(layers.MultiHeadAttention(4, 4, position=POSITIONS[name](), **options), (2, 7, 8))
    x = draw(2, 7, 8)
    mask = np.random.default_rng(3).random((2, 1, 7, 7)) < 0.7
    mask[0, 0, 3] = False
    outputs = computed(lambda x: (layer(x, attention_mask=mask), layer(x[:, :1])), x)
    seen = mask & by_hand.causal(7, 7) if layer.causal else mask
    theirs = [by_numpy(name, layer, x, seen), by_numpy(name, layer, x[:, :1], np.ones((2, 1, 1, 1), bool))]
    if name == "Shaw":  # where nothing is seen, nothing is added to
        assert not theirs[0][0, 3].any()
    for a, b in zip(outputs, theirs):
        np.testing.assert_allclose(a, joined(layer, b), **EXACT)


def test_columns_of_distances_go_to_keys_and_back():
    x = np.arange(2 * 3 * 8).reshape(1, 2, 3, 8).astype("float32")  # three queries, five keys
    y = draw(1, 2, 3, 5).astype("float32")
    shifted, back, single = computed(
        lambda x, y: (relative_shift(x, 5), relative_unshift(y), relative_shift(x[:, :, :1, :6], 5)), x, y
    )
    for i, j in np.ndindex(3, 5):
        np.testing.assert_array_equal(shifted[:, :, i, j], x[:, :, i, j - i + 2])
        np.testing.assert_array_equal(back[:, :, i, j - i + 2], y[:, :, i, j])
    assert (back != 0).sum() == y.size
    np.testing.assert_array_equal(single, x[:, :, :1, :5])


@pytest.mark.once
def test_slopes_of_any_number_of_heads_are_those_of_the_papers_code():
    np.testing.assert_allclose(alibi_slopes(8), 2.0 ** -np.arange(1, 9))
    np.testing.assert_allclose(alibi_slopes(1), [2**-8])
    np.testing.assert_allclose(alibi_slopes(6), [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3])
    assert len(alibi_slopes(12)) == 12


@pytest.mark.once
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_are_those_of_transformers_t5(bidirectional):
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    distances = np.arange(-300, 300)
    for count, most in ((32, 128), (16, 40)):
        ours = layers.T5Position(count, most, bidirectional).buckets(
            ops.convert_to_tensor(distances, "int32")
        )
        theirs = T5Attention._relative_position_bucket(torch.tensor(distances), bidirectional, count, most)
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), theirs.numpy())
        mine = [by_hand.t5_bucket(int(d), bidirectional, count, most) for d in distances]
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), mine)


@pytest.mark.once
def test_disentangled_attention_is_that_of_transformers_deberta():
    import torch
    from transformers.models.deberta import modeling_deberta as theirs

    config = theirs.DebertaConfig(
        hidden_size=8, num_attention_heads=2, max_relative_positions=4, relative_attention=True,
        pos_att_type=["c2p", "p2c"], hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    peer = theirs.DisentangledSelfAttention(config).eval()
    ours = built(layers.MultiHeadAttention(2, position=layers.DisentangledPosition(4)), (1, 7, 8))
    position, x = ours.position, draw(1, 7, 8).astype("float32")
    w = weights_of(ours)
    # Theirs lie head by head, each with its query, key and value; keys have no bias, which a softmax does not see.
    kernel = w["query_key_value/kernel"].reshape(8, 3, 2, 4).transpose(2, 1, 3, 0).reshape(24, 8)
    biases = w["query_key_value/bias"].reshape(3, 8)
    ours.query_key_value.bias.assign(biases.reshape(-1) * np.repeat([1, 0, 1], 8))
    values = {
        "in_proj.weight": kernel, "q_bias": biases[0], "v_bias": biases[2],
        "pos_proj.weight": ops.convert_to_numpy(position.key_projection.kernel).T,
        "pos_q_proj.weight": ops.convert_to_numpy(position.query_projection.kernel).T,
        "pos_q_proj.bias": ops.convert_to_numpy(position.query_projection.bias),
    }  # fmt: skip
    peer.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in values.items()})
    order = torch.arange(7)
    with torch.no_grad():
        means, _ = peer(
            torch.tensor(x), torch.ones(1, 1, 7, 7), relative_pos=order[:, None] - order[None],
            rel_embeddings=torch.tensor(ops.convert_to_numpy(position.embeddings)),
        )  # fmt: skip
    expected = joined(ours, means.numpy())
    np.testing.assert_allclose(computed(lambda x: ours(x), x), expected, rtol=1e-4, atol=1e-5)


def test_sines_are_added_to_any_length_from_any_position():
    encoding, x = layers.SinePositionEncoding(100.0), draw(2, 5, 7).astype("float32")
    encoding.build((None, None, 7))
    places = np.arange(9)[:, None] / 100.0 ** (np.arange(0, 7, 2) / 7)
    table = np.stack([np.sin(places), np.cos(places)], -1).reshape(9, 8)[:, :7]

    def ours(x):
        each = encoding(x, offset=ops.convert_to_tensor(np.array([0, 4])))
        return encoding(x), encoding(x[:, :1]), encoding(x, offset=3), each

    whole, first, later, each = computed(ours, x)
    np.testing.assert_allclose(whole, x + table[:5], atol=1e-5)
    np.testing.assert_allclose(first, x[:, :1] + table[:1], atol=1e-5)
    np.testing.assert_allclose(later, x + table[3:8], atol=1e-5)
    np.testing.assert_allclose(each, x + np.stack([table[:5], table[4:9]]), atol=1e-5)
    inputs = keras.Input((None, 7))
    model = keras.Model(inputs, encoding(inputs))
    assert model.output_shape == (None, None, 7)
    np.testing.assert_allclose(model.predict(x[:, 1:], verbose=0), x[:, 1:] + table[:4], atol=1e-5)


REFUSED = {
    "an odd number of turned features": (lambda: layers.RotaryPosition(dim=3).build((1, 2, 2, 4)), "dim=3"),
    "more turned than there are": (lambda: layers.RotaryPosition(dim=6).build((1, 2, 2, 4)), "dim=6"),
    "a wavelength of nothing": (lambda: layers.RotaryPosition(0), "max_wavelength=0"),
    "an odd number of buckets": (lambda: layers.T5Position(7), "num_buckets=7"),
    "a small largest distance": (lambda: layers.T5Position(32, 8), "max_distance=8"),
    "no distances": (lambda: layers.ShawPosition(0), "max_distance=0"),
    "an odd number of sines": (lambda: layers.TransformerXLPosition(5).build((1, 2, 2, 4)), "dim=5"),
    "vectors of nothing": (lambda: layers.DisentangledPosition(dim=0), "dim=0"),
}


@pytest.mark.once
@pytest.mark.parametrize("what", REFUSED)
def test_wrong_positions_are_refused_with_what_was_received(what):
    raises, message = REFUSED[what]
    with pytest.raises(ValueError) as error:
        raises()
    assert message in str(error.value) and "Received:" in str(error.value)
