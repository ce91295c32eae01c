"""Writing on with a cache: the symbols are those of reading the whole text anew, in NumPy (`written_by_hand.py`)."""

import functools

import keras
import numpy as np
import pytest
import written_by_hand
from keras import ops
from written_by_hand import randomized, reader_of

import kzoo
from kzoo import backend
from kzoo.generation import stream
from kzoo.models.text.gpt import gpt
from kzoo.ops.sampling import sample

V, PLACES = 7, 24
SIZES = dict(max_sequence_length=PLACES, dim=8, depth=2, num_heads=2)
MODELS = {
    "learned positions": lambda: gpt(V, **SIZES),
    "rotary positions": lambda: gpt(V, **SIZES, position=kzoo.layers.RotaryPosition, use_bias=False),
    "two recurrent layers": lambda: kzoo.create_model(
        "makemore_gru", vocabulary_size=V, dim=4, hidden_dim=5, depth=2
    ),
}
SEEDS = dict(zip(MODELS, (2, 4, 11)))  # of weights by which the prompts go on differently
PROMPTS = [[3, 1, 4], [1], [5, 2, 6, 5, 3]]


@functools.cache
def made(name):
    """A model and its reader, made once for all tests; nothing trains it."""
    model = randomized(MODELS[name](), SEEDS[name])
    return model, reader_of(model)


def lists(rows):
    return [row.tolist() for row in rows]


@pytest.mark.parametrize("name", MODELS)
def test_prompts_of_different_lengths_are_written_on_as_each_alone_and_read_anew(name):
    model, read = made(name)
    expected = [written_by_hand.write(read, prompt, 9) for prompt in PROMPTS]
    assert len({tuple(row) for row in expected}) == 3
    assert lists(kzoo.generate(model, PROMPTS, 9)) == expected
    if name == "learned positions":
        assert lists(kzoo.generate(model, PROMPTS[2:], 9)) == expected[2:]
        assert lists(kzoo.generate(model, PROMPTS, 9, cached=False)) == expected


@pytest.mark.parametrize(
    "options",
    [dict(temperature=1.5), dict(temperature=2.0, top_k=6, top_p=0.8)],
    ids=str,
)
def test_symbols_are_drawn_by_their_probability_and_follow_from_the_seed(options):
    model, read = made("learned positions")
    uniform = np.random.default_rng(5).random((9, 3), "float32")
    expected = [
        written_by_hand.write(read, prompt, 9, written_by_hand.drawn(uniform[:, i], **options))
        for i, prompt in enumerate(PROMPTS)
    ]
    assert lists(kzoo.generate(model, PROMPTS, 9, seed=5, **options)) == expected
    assert lists(kzoo.generate(model, PROMPTS, 9, seed=6, **options)) != expected


@pytest.mark.parametrize("options", [{}, dict(top_k=3), dict(top_p=0.6), dict(top_k=4, top_p=0.75)], ids=str)
def test_of_many_draws_each_symbol_has_its_share(options):
    logits = np.array([0.3, 2.0, -1.0, 1.2, 0.0], "float32")
    n = 10_000
    numbers = (np.arange(n, dtype="float32") + 0.5) / n
    found = sample(
        ops.convert_to_tensor(np.tile(logits, (n, 1))),
        ops.convert_to_tensor(numbers),
        temperature=0.8,
        **options,
    )
    shares = np.bincount(ops.convert_to_numpy(found), minlength=5) / n
    expected, _ = written_by_hand.probabilities(logits.astype("float64"), 0.8, **options)
    np.testing.assert_allclose(shares, expected, atol=2e-3)
    assert ((shares == 0) == (expected == 0)).all()


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(np.float32(1), np.float32(0))])
def test_the_least_and_the_greatest_number_draw_a_symbol_that_may_be_drawn(uniform):
    logits = np.array([[-np.inf, 1.0, 0.5, -np.inf], [0.0, -np.inf, -np.inf, -np.inf]], "float32")
    for options in ({}, dict(top_k=2), dict(top_p=1.0)):
        numbers = np.full(2, uniform, "float32")
        found = ops.convert_to_numpy(sample(*map(ops.convert_to_tensor, (logits, numbers)), **options))
        assert np.isfinite(logits[[0, 1], found]).all(), options


def test_a_text_ends_with_its_stop_token_and_the_others_go_on():
    model, read = made("learned positions")
    whole = [written_by_hand.write(read, prompt, 9) for prompt in PROMPTS]
    end = next(symbol for symbol in whole[0][1:] if symbol in whole[0] and symbol != whole[0][0])
    expected = [written_by_hand.write(read, prompt, 9, end_token=end) for prompt in PROMPTS]
    assert len({len(row) for row in expected}) > 1 and len(expected[0]) < 9
    assert lists(kzoo.generate(model, PROMPTS, 9, end_token=end)) == expected
    columns = np.stack(list(stream(model, PROMPTS, 9, end_token=end)), axis=1)
    for row, text in zip(columns.tolist(), expected):
        assert row == text + [-1] * (len(row) - len(text))
    assert columns.shape[1] == max(map(len, expected))  # nothing is written once all have ended


def test_a_stream_yields_the_same_symbols_one_by_one_and_a_longer_text_begins_as_a_shorter_one():
    model, _ = made("learned positions")
    options = dict(temperature=1.5, seed=5)
    streamed = np.stack(list(stream(model, PROMPTS, 9, **options)), axis=1)
    np.testing.assert_array_equal(streamed, kzoo.generate(model, PROMPTS, 9, **options))
    np.testing.assert_array_equal(streamed[:, :5], kzoo.generate(model, PROMPTS, 5, **options))


def test_a_text_that_outgrows_the_positions_goes_on_from_its_last_half():
    model, read = made("learned positions")
    prompts = [np.random.default_rng(0).integers(0, V, PLACES - less).tolist() for less in (3, 9)]
    expected = [written_by_hand.write(read, prompt, 30, limit=PLACES) for prompt in prompts]
    assert lists(kzoo.generate(model, prompts, 30)) == expected


def test_a_window_model_writes_on_from_its_last_symbols():
    model = randomized(
        kzoo.create_model("makemore_mlp", vocabulary_size=V, context_length=3, dim=4, hidden_dim=6)
    )
    forward = written_by_hand.forward_of(model)
    prompts = [[0, 0, 0], [0, 3, 1, 2]]
    expected = [list(prompt) for prompt in prompts]
    for text in expected:
        for _ in range(6):
            (logits,) = forward(ops.convert_to_tensor(np.array([text[-3:]], "int32")))
            text.append(int(np.argmax(logits)))
    assert lists(kzoo.generate(model, prompts, 6)) == [text[-6:] for text in expected]
    with pytest.raises(
        ValueError, match=r"a prompt needs 3 symbols, as many as the model sees\. Received: 2"
    ):
        kzoo.generate(model, [[1, 2]], 6)


TABLE = np.random.default_rng(3).normal(size=(4, 4)) * 2


@pytest.mark.parametrize("end_token", [None, 2])
def test_enough_beams_find_the_likeliest_of_all_texts(end_token):
    model = written_by_hand.bigrams(TABLE)
    read = lambda text: TABLE[text[-1]]  # noqa: E731
    expected = [list(written_by_hand.best_of_all(read, [p], 3, 4, end_token)) for p in (0, 1, 3)]
    found = kzoo.generate(model, [[0], [2, 2, 1], [3]], 3, num_beams=16, end_token=end_token)
    assert lists(found) == expected
    if end_token is None:
        greedy = lists(kzoo.generate(model, [[0], [2, 2, 1], [3]], 3))
        assert greedy != expected and lists(kzoo.generate(model, [[0], [1], [3]], 3, num_beams=1)) == greedy


def test_beams_of_a_gpt_are_as_likely_as_they_can_be():
    model, read = made("learned positions")
    found = lists(kzoo.generate(model, PROMPTS, 2, num_beams=V))
    assert found == [list(written_by_hand.best_of_all(read, prompt, 2, V)) for prompt in PROMPTS]


@pytest.mark.skipif(not backend.Decoder.recompiles, reason="PyTorch runs each step as it comes")
def test_a_step_is_traced_once_however_many_symbols_are_written():
    traced = []

    @keras.saving.register_keras_serializable("test_generation")
    def watched(x):
        traced.append(x.shape)
        return ops.tanh(x)

    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Dense(V, watched)(keras.layers.Embedding(V, 4)(tokens))
    model = randomized(
        keras.Sequential([keras.Input((None,), dtype="int32"), *keras.Model(tokens, x).layers[1:]])
    )
    traced.clear()
    first = lists(kzoo.generate(model, [[1, 2]], 13))
    assert len(traced) <= 3  # the prompt's, and the loop's
    traced.clear()
    assert lists(kzoo.generate(model, [[1, 2]], 5)) == [first[0][:5]]
    kzoo.generate(model, [[3, 2, 1]], 13)
    assert list(stream(model, [[4]], 9))
    assert len(traced) <= 2  # padding, which the first prompt had too, changes nothing
    traced.clear()
    for variable in model.trainable_variables:
        variable.assign(-variable)
    again = lists(kzoo.generate(model, [[1, 2]], 13))
    assert not traced and again != first
    assert again == [written_by_hand.write(reader_of(model), [1, 2], 13)]


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {}, r"give at least one prompt"),
        ([[]], {}, r"a prompt must not be empty\. Received: 0 symbols in prompt 0"),
        ([[1], [2] * 25], {}, r"longer than the 24 places that the model reads.*Received: 25 symbols in prompt 1"),
        ([[1, 7]], {}, r"symbols lie from 0 to 6\. Received: 7 in prompt 0"),
        ([[1, -1]], {}, r"symbols lie from 0 to 6\. Received: -1 in prompt 0"),
        ([[0.5]], {}, r"sequence of whole numbers.*float64"),
        ([1, 2], {}, r"sequence of whole numbers, and prompts a list of them"),
        ([[1]], dict(temperature=-1.0), r"temperature must be a number, 0 for the likeliest"),
        ([[1]], dict(temperature=float("nan")), r"temperature must be a number"),
        ([[1]], dict(top_k=3), r"give a temperature above 0"),
        ([[1]], dict(temperature=1.0, top_k=0), r"top_k must be a whole number"),
        ([[1]], dict(temperature=1.0, top_p=1.5), r"top_p must be a probability above 0"),
        ([[1]], dict(temperature=1.0, num_beams=2), r"beams are of the likeliest texts"),
        ([[1]], dict(num_beams=0), r"num_beams must be a whole number"),
        ([[1] * 20], dict(num_beams=2), r"texts with beams must fit into the model's 24 positions"),
        ([[1]], dict(end_token=7), r"end_token must be of the vocabulary, 0 to 6"),
    ],
)  # fmt: skip
@pytest.mark.once
def test_what_cannot_be_written_on_is_told_before_any_work(prompts, options, message):
    with pytest.raises(ValueError, match=message):
        kzoo.generate(made("learned positions")[0], prompts, 9, **options)


@pytest.mark.once
def test_models_that_cannot_be_read_on_from_are_told():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 4)(tokens)
    mixed = keras.Model(tokens, keras.layers.Conv1D(V, 3, padding="causal", name="mix")(x))
    with pytest.raises(ValueError, match=r"cannot go on from the layer 'mix'.*cached=False.*a Conv1D"):
        kzoo.generate(mixed, [[1]], 3)
    assert lists(kzoo.generate(mixed, [[1]], 3, cached=False))
    with pytest.raises(ValueError, match=r"a language model takes one input \(b, n\)"):
        kzoo.generate(keras.Sequential([keras.Input((4, 4)), keras.layers.Dense(2)]), [[1]], 3)
    with pytest.raises(ValueError, match=r"max_new_tokens must be a whole number"):
        kzoo.generate(mixed, [[1]], 0)
    with pytest.raises(ValueError, match=r"beams are only known at the end"):
        next(stream(mixed, [[1]], 3, num_beams=2))
