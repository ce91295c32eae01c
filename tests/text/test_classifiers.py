"""Text classifiers: what fills texts up changes nothing, readers by hand, batches of texts, bad input."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from stepping import step_of

import kzoo
from kzoo.data import Subwords, load_labelled, text_batches
from kzoo.data import tokens as tokens_module
from kzoo.models.text import WordVectors
from kzoo.models.text.text_classifier import SIZES, text_classifier

X = np.array([[3, 1, 4, 1, 5], [2, 6, 5, 0, 0], [7, 0, 0, 0, 0]], "int32")
TEXTS = [f"{word} {'very ' * n}good" for n in range(12) for word in ("this", "that", "which", "who")]


def small(name, **options):
    """A classifier of eight words with drawn weights."""
    model = kzoo.create_model(name, vocabulary_size=8, num_classes=3, **dict(dim=6, hidden_dim=8) | options)
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(size=variable.shape) * 0.5)
    return model


@pytest.mark.parametrize("name", ["text_bilstm", "text_cnn", "text_transformer"])
def test_what_fills_texts_up_changes_neither_answers_nor_gradients(name):
    model = small(name, dropout=0.0)

    def computed(x):
        x = ops.convert_to_tensor(x)
        loss, gradients = step_of(model, lambda: ops.sum(ops.sin(model(x, training=True))))()
        return float(loss), [ops.convert_to_numpy(gradient) for gradient in gradients]

    (loss, gradients), (same, others) = computed(X), computed(np.pad(X, ((0, 0), (0, 4))))
    assert loss == pytest.approx(same, abs=1e-5)
    for a, b in zip(gradients, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("name", SIZES)
def test_a_text_is_read_alone_as_it_is_among_others(name):
    model = small(name, dropout=0.5, word_dropout=0.5)
    together = model.predict_on_batch(X)
    for row, theirs in zip(X, together):
        alone = model.predict_on_batch(row[row > 0][None])[0]
        np.testing.assert_allclose(alone, theirs, atol=1e-5)
    assert np.isfinite(model.predict_on_batch(np.zeros((2, 4), "int32"))).all()  # no word at all
    assert (np.abs(together[0] - together[1]) > 1e-4).any()


@pytest.mark.once
def test_the_order_of_words_means_something_to_all_but_the_mean():
    for name in SIZES:
        model = small(name)
        one, other = model.predict_on_batch(np.array([[1, 2, 3, 4], [4, 3, 2, 1]], "int32"))
        assert (np.abs(one - other).max() < 1e-5) == (name == "text_mean"), name


@pytest.mark.once
def test_means_and_convolutions_by_hand():
    model = small("text_mean")
    table, kernel, bias, head, last = (w.astype("float64") for w in model.get_weights())
    for row, ours in zip(X, model.predict_on_batch(X)):
        hidden = np.maximum(table[row[row > 0]].mean(0) @ kernel + bias, 0)
        np.testing.assert_allclose(ours, hidden @ head + last, atol=1e-5)
    model = small("text_cnn", hidden_dim=4)
    table, *filters, head, last = (w.astype("float64") for w in model.get_weights())
    for row, ours in zip(X, model.predict_on_batch(X)):
        words, found = table[row[row > 0]], []
        for kernel, bias in zip(filters[::2], filters[1::2]):
            size = len(kernel)
            before = (size - 1) // 2
            padded = np.pad(words, ((before, size - 1 - before), (0, 0)))
            answers = [np.tensordot(padded[i : i + size], kernel, 2) + bias for i in range(len(words))]
            found.append(np.maximum(np.max(answers, axis=0), 0))
        np.testing.assert_allclose(ours, np.concatenate(found) @ head + last, atol=1e-4)


@pytest.mark.once
def test_both_directions_are_keras_layers_on_the_words_that_are_there():
    model = small("text_bilstm")
    own = model.get_layer("block_1_both")
    x = model.get_layer("embedding")(X[1:2, :3])
    theirs = [layer(x) for layer in (own.forward_layer, own.backward_layer)]
    theirs = ops.convert_to_numpy(model.get_layer("head")(ops.concatenate(theirs, -1)))
    np.testing.assert_allclose(model.predict_on_batch(X)[1:2], theirs, atol=1e-5)
    assert isinstance(small("text_gru").get_layer("block_1"), layers.GRU)


@pytest.mark.once
def test_a_model_begins_with_known_vectors_and_is_saved_with_them(tmp_path):
    vectors = WordVectors(("good", "bad"), [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]])
    table, known = vectors.rows(("[PAD]", "[UNK]", "good", "bad", "other"))
    model = kzoo.create_model("text_lstm", vocabulary_size=5, vectors=table, hidden_dim=4)
    np.testing.assert_array_equal(model.get_layer("embedding").get_weights()[0][2:4], vectors.vectors)
    assert known == 2 and model.output_shape == (None, 2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.array([[2, 3, 0]], "int32")
    np.testing.assert_array_equal(model.predict_on_batch(x), again.predict_on_batch(x))
    features = kzoo.create_model("text_bilstm", vocabulary_size=5, num_classes=0, hidden_dim=4)
    assert features.output_shape == (None, 8)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(vectors=np.zeros((4, 3))), r"a vector for each word.*\(4, 3\), vocabulary_size=5"),
        (dict(dropout=1.0), r"dropout must be a number in \[0, 1\)"),
        (dict(word_dropout=-1), r"word_dropout must be"),
        (dict(hidden_dim=0), r"hidden_dim must be a whole number"),
        (dict(name="text_transformer", hidden_dim=6), r"num_heads must divide hidden_dim"),
        (dict(vocabulary_size=0), r"vocabulary_size must be"),
    ],
)
def test_what_makes_no_classifier_is_told(arguments, message):
    given = {"name": "text_lstm", "vocabulary_size": 5, **arguments}
    with pytest.raises(ValueError, match=message):
        kzoo.create_model(**given)


@pytest.mark.once
def test_a_reader_of_ones_own_is_given_the_words_and_what_is_real():
    def longest(x, mask, *, hidden_dim, dropout):
        return layers.Dense(hidden_dim)(ops.max(x * ops.cast(ops.expand_dims(mask, -1), x.dtype), 1))

    model = text_classifier(9, 4, reader=longest, hidden_dim=3)
    assert model.predict_on_batch(X).shape == (3, 4) and model.get_layer("head").input.shape == (None, 3)


@pytest.fixture(scope="module")
def words():
    pytest.importorskip("tokenizers")
    return Subwords.train(TEXTS, "words", 40, lowercase=True)


@pytest.mark.once
def test_batches_hold_every_text_once_in_few_shapes(words):
    data = text_batches(TEXTS, np.arange(len(TEXTS)), words, 8, longest=10, seed=1)
    for epoch in (0, 1):
        batches = [data.draw(epoch, i) for i in range(len(data))]
        assert sorted(np.concatenate([y for _, y in batches])) == list(range(len(TEXTS)))
        assert {x.shape[1] for x, _ in batches} == {8, 10}
        for x, y in batches:
            for row, label in zip(x, y):
                ids = words.encode(TEXTS[label])[:10]  # of longer ones the beginning
                assert row[: len(ids)].tolist() == ids.tolist() and not row[len(ids) :].any()
    assert text_batches(TEXTS[:1], None, words, 1).draw(0, 0)[0].shape == (1, 8)


@pytest.mark.once
def test_texts_without_words_and_endless_ones_are_told(words, monkeypatch):
    for text in ("", " \n"):
        with pytest.raises(ValueError, match=r"must not be empty.*1 empty of tokens, the first in example 1"):
            text_batches(["good", text], [0, 1], words, 2)
    monkeypatch.setattr(tokens_module, "LONGEST", 100)
    with pytest.raises(ValueError, match=r"encode it in pieces.*Received: 101 characters"):
        text_batches(["good", "a" * 101], [0, 1], words, 2)
    with pytest.raises(ValueError, match=r"one word at least. Received: longest=0"):
        text_batches(["good"], [0], words, 2, longest=0)


@pytest.mark.once
def test_a_file_of_ones_own_is_read_and_parted(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_bytes("".join(f"text\t{i}\t{'ab'[i % 2]}\r\n\n" for i in range(40)).encode())
    data = load_labelled(path)
    assert data.name == "mine" and data.labels == ("a", "b")
    assert [len(part[1]) for part in (data.train, data.validation, data.test)] == [32, 4, 4]
    for texts, y in (data.train, data.validation, data.test):
        assert [text.split("\t")[0] for text in texts] == ["text"] * len(y)
        assert [int(text.split("\t")[1]) % 2 for text in texts] == y.tolist()
    assert set(load_labelled(path, seed=1).test[0]) != set(data.test[0])


@pytest.mark.once
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\tyes\nbad\n", r"line 2 of .* must be a text, a tab and a class.*Received: 'bad'"),
        (b"good\tyes\n\tno\n", r"line 2 of .* neither of them empty"),
        (b"good\tyes\nbad\t\n", r"line 2 of .* neither of them empty"),
        (b"good\tyes\nfine\tyes\n", r"two classes at least. Received: classes \['yes'\]"),
        (b"", r"two classes at least"),
        (b"good\tyes\nb\xe9d\tno\n", r"is not UTF-8: .* at byte 10.*Received: byte 0xe9"),
        (b"good\tyes\n" + b"a" * (1 << 20) + b"\tno\n", r"line 2 of .* is longer than 1,048,576 bytes"),
    ],
    ids=["no class", "no text", "empty class", "one class", "empty", "latin", "endless"],
)
def test_files_that_hold_no_labelled_texts_are_told(content, message, tmp_path):
    (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_labelled(tmp_path / "a.tsv")


@pytest.mark.once
def test_the_sheet_of_texts_shows_the_surest_and_the_wrong(tmp_path):
    texts = [f"text {i} costs $5" for i in range(9)]
    scores = np.stack([np.linspace(-4, 4, 9), np.linspace(4, -4, 9)], -1)
    kept = kzoo.plots.texts(
        texts, [1] * 4 + [0] * 4 + [1], scores, ("no", "yes"), tmp_path / "a.png", count=2
    )
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert [true == guess for _, true, guess, _ in kept] == [True, True, True, True, False]
    assert kept[-1][0] == texts[8] and kept[0][3] > 0.99 > kept[2][3]
    with pytest.raises(
        ValueError, match=r"one label and one row of scores per text. Received: 9 texts, 2 labels"
    ):
        kzoo.plots.texts(texts, [0, 1], scores, ("no", "yes"), tmp_path / "b.png")
