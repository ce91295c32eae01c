"""The character models: sizes, files, what they see, and their losses beside hand-written ones."""

import json

import keras
import numpy as np
import pytest
from cases.models import TEXT, tiny_text
from keras import ops
from stepping import forward_of

import kzoo
from kzoo.data import Batches, Characters, SequenceBatches
from kzoo.models import catalog
from kzoo.models.text import made_up, nats_per_symbol

MAKEMORE = [name for name in TEXT if name.startswith("makemore_")]
WINDOWS = ("makemore_bigram", "makemore_mlp", "makemore_wavenet")


def symbols(model, count=3, length=6, seed=0):
    length = model.input_shape[1] or length
    return np.random.default_rng(seed).integers(0, 5, (count, length)).astype("int32")


@pytest.mark.once
def test_sizes_are_those_of_makemore():
    count = {name: catalog.skeleton(name, vocabulary_size=27).count_params() for name in MAKEMORE}
    assert count["makemore_bigram"] == 27 * 27
    assert count["makemore_mlp"] == 11_897  # as its lecture prints
    trained = catalog.skeleton("makemore_wavenet", vocabulary_size=27).trainable_variables
    assert sum(np.prod(variable.shape) for variable in trained) == 76_579  # as its lecture prints
    blocks = 4 * (4 * (64 * 64 + 64) + 2 * 64 * 256 + 256 + 64 + 4 * 64)
    assert count["makemore_transformer"] == 27 * 64 + 16 * 64 + blocks + 2 * 64 + 64 * 27
    head = 27 * 64 + 64 * 27 + 27
    assert count["makemore_rnn"] == head + 64 * 128 + 64
    assert count["makemore_lstm"] == head + 4 * (64 * 128 + 64)


@pytest.mark.once
def test_language_models_are_a_kind_of_their_own():
    assert set(kzoo.list_models(kind="text")) >= set(MAKEMORE)
    assert not set(kzoo.list_models(kind="text")) & set(kzoo.list_models(kind="vision"))
    kinds = sorted({catalog.kind_of(family) for family in catalog.FAMILIES})
    assert {"generative", "text", "vision"} <= set(kinds)
    assert sorted(name for kind in kinds for name in kzoo.list_models(kind=kind)) == kzoo.list_models()
    assert kzoo.list_models("makemore_?????", kind="vision") == []
    assert "context_length=3" in catalog.sizes_of("makemore_mlp")
    with pytest.raises(ValueError, match=r"no kind of model 'texts': did you mean text"):
        kzoo.list_models(kind="texts")


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("makemore_mlp", {}, r"data's vocabulary_size: give it"),
        ("makemore_mlp", dict(vocabulary_size=0), r"vocabulary_size must be a whole number"),
        (
            "makemore_mlp",
            dict(vocabulary_size=5, image_shape=(2, 2, 1)),
            r"no argument of makemore_mlp 'image_shape'",
        ),
        (
            "makemore_mlp",
            dict(vocabulary_size=5, num_classes=3),
            r"no argument of makemore_mlp 'num_classes'",
        ),
        ("makemore_mlp", dict(vocabulary_sise=5), r"did you mean vocabulary_size"),
        ("makemore_mlp", dict(vocabulary_size=5, context_length=0), r"context_length must be a whole number"),
        ("makemore_wavenet", dict(vocabulary_size=5, context_length=6), r"power of two"),
        ("makemore_gru", dict(vocabulary_size=5, depth=0), r"depth must be a whole number"),
        ("makemore_transformer", dict(vocabulary_size=5, dim=10), r"num_heads must divide dim"),
        ("makemore_gru", dict(vocabulary_size=5, pretrained=True), r"no published weights of makemore_gru"),
        ("makemoore_gru", dict(vocabulary_size=5), r"did you mean makemore_gru"),
    ],
)
def test_what_makes_no_language_model_is_told(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        kzoo.create_model(name, **arguments)


@pytest.mark.once
def test_a_language_model_has_no_image_size():
    with pytest.raises(ValueError, match=r"makemore_gru takes no images"):
        catalog.published_shape("makemore_gru")
    assert not set(MAKEMORE) & set(catalog.costs())


# A process of one engine looks at the one with layers of our own; those of Keras are its affair.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "makemore_transformer" else pytest.mark.once)
        for name in MAKEMORE
    ],
)
def test_a_file_gives_a_language_model_back(name, tmp_path):
    model = tiny_text(name)
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    x = symbols(model)
    np.testing.assert_array_equal(*(one.predict_on_batch(x) for one in (model, loaded)))
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert model.output_shape == ((None, 5) if name in WINDOWS else (None, None, 5))


@pytest.mark.parametrize("name", [name for name in MAKEMORE if name not in WINDOWS])
def test_no_place_sees_what_comes_after_it(name):
    model = tiny_text(name)
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(size=variable.shape))
    forward, x = forward_of(model), symbols(model)
    changed = x.copy()
    changed[:, 4:] = (changed[:, 4:] + 1) % 5
    (before,), (after,) = forward(ops.convert_to_tensor(x)), forward(ops.convert_to_tensor(changed))
    np.testing.assert_allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert (np.abs(before[:, 4:] - after[:, 4:]).max((1, 2)) > 1e-3).all()


@pytest.mark.once
def test_the_tree_joins_neighbours_two_by_two():
    """By hand in NumPy: embeddings in pairs, then pairs of pairs, by one matrix each, normalised as in inference."""
    model = tiny_text("makemore_wavenet")
    for i, variable in enumerate(model.weights):
        value = np.random.default_rng(i).normal(size=variable.shape)
        variable.assign(np.abs(value) + 0.5 if "variance" in variable.path else value)
    x = symbols(model)
    theirs = model.get_layer("embedding").get_weights()[0][x]  # (b, 4, 4)
    for level in (1, 2):
        (kernel,) = model.get_layer(f"block_{level}_dense").get_weights()
        gamma, beta, mean, variance = model.get_layer(f"block_{level}_norm").get_weights()
        pairs = np.stack(
            [
                np.concatenate([a, b], -1)
                for a, b in ((theirs[:, i], theirs[:, i + 1]) for i in range(0, theirs.shape[1], 2))
            ],
            1,
        )
        theirs = np.tanh(gamma * (pairs @ kernel - mean) / np.sqrt(variance + 1e-5) + beta)
    kernel, bias = model.get_layer("head").get_weights()
    np.testing.assert_allclose(model.predict_on_batch(x), theirs[:, 0] @ kernel + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.once
def test_the_first_guess_of_each_model_is_about_even():
    for name in ("makemore_mlp", "makemore_wavenet", "makemore_transformer", "makemore_bigram"):
        model = kzoo.create_model(name, vocabulary_size=27)
        length = model.input_shape[1] or 16
        x = np.random.default_rng(0).integers(0, 27, (64, length)).astype("int32")
        logits = model.predict_on_batch(x)
        assert np.abs(logits).max() < 1.5, name


@pytest.mark.once
def test_nats_are_of_every_symbol_that_counts_whatever_the_batches():
    model = tiny_text("makemore_gru")
    rows = [np.random.default_rng(i).integers(0, 5, n + 1) for i, n in enumerate((3, 9, 1, 4, 6))]
    x, y = [row[:-1] for row in rows], [row[1:] for row in rows]
    total, count = 0.0, 0
    for inputs, labels in zip(x, y):
        logits = model.predict_on_batch(np.asarray(inputs, "int32")[None])[0].astype("float64")
        total -= np.sum(
            (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[np.arange(len(labels)), labels]
        )
        count += len(labels)
    for size, lengths in ((2, (4, 9)), (5, (12,))):
        data = SequenceBatches(x, y, size, lengths=lengths)
        np.testing.assert_allclose(nats_per_symbol(model, data), total / count, rtol=1e-5)
    windows = Batches(np.array([[1], [2], [3]]), np.array([2, 3, 4]), 2)
    assert nats_per_symbol(tiny_text("makemore_bigram"), windows) == pytest.approx(np.log(5), abs=0.1)
    with pytest.raises(ValueError, match=r"some label must count"):
        nats_per_symbol(model, SequenceBatches(x, [np.full(len(row), -1) for row in y], 5))


@pytest.mark.once
@pytest.mark.parametrize("name", ["makemore_bigram", "makemore_mlp", "makemore_gru"])
def test_lines_are_made_up_by_the_probabilities_of_letters(name):
    """After each letter one follows for certain, whatever the model sees: the head's bias, or the table's row, says."""
    letters, model = Characters(".abcd"), tiny_text(name)
    if name == "makemore_bigram":
        table = np.full((5, 5), -50.0)
        table[[0, 1, 2, 3], [1, 2, 3, 0]] = 50.0  # .abc.
        model.get_layer("table").set_weights([table])
        assert made_up(model, letters, 3, 6) == ["abc"] * 3 and made_up(model, letters, 1, 2) == ["ab"]
        with pytest.raises(ValueError, match=r"must be number 0 of the vocabulary. Received: end='b'"):
            made_up(model, letters, 1, 2, end="b")
        return
    kernel = model.get_layer("head").get_weights()[0]
    model.get_layer("head").set_weights([0 * kernel, np.log([1e-9, 0.7, 0.3, 1e-9, 1e-9])])
    lines = made_up(model, letters, 400, 5, seed=1)
    assert {len(line) for line in lines} == {5} and set("".join(lines)) == {"a", "b"}
    assert abs("".join(lines).count("a") / 2000 - 0.7) < 0.05
    assert lines == made_up(model, letters, 400, 5, seed=1) != made_up(model, letters, 400, 5, seed=2)
