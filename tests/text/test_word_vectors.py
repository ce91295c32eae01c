"""Word vectors: what they are trained on, their losses and gradients by hand, neighbours and analogies."""

import keras
import numpy as np
import pytest
from keras import ops
from stepping import step_of

from kzoo.data.word_contexts import CooccurrenceBatches, WordBatches, Words, cooccurrences
from kzoo.data.words import Analogies, WordPairs
from kzoo.losses import NegativeSampling
from kzoo.models.text import cbow, embedding_layer, glove, skip_gram, vectors_of
from kzoo.models.text.vectors import WordVectors

DRAW = np.random.default_rng(0)
SENTENCES = [DRAW.integers(1, 9, n).astype("int32") for n in DRAW.integers(2, 9, 40)]
COUNTS = np.bincount(np.concatenate(SENTENCES), minlength=9)[1:]


def filled(model, seed=0):
    """The model with drawn weights, and those by layer."""
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng([seed, i]).normal(size=variable.shape))
    return {layer.name: layer.get_weights()[0].astype("float64") for layer in model.layers if layer.weights}


def gradients_of(model, loss):
    value, gradients = step_of(model, loss)()
    names = [variable.path.split("/")[-2] for variable in model.trainable_variables]
    return float(value), {name: ops.convert_to_numpy(g) for name, g in zip(names, gradients)}


def tensors(x):
    return {name: ops.convert_to_tensor(array) for name, array in x.items()}


@pytest.mark.parametrize("kind", ["skip_gram", "cbow"])
def test_negative_sampling_is_that_of_the_paper(kind):
    """Loss and gradient of equation 4 by loops over words, in NumPy."""
    model = skip_gram(9, 4) if kind == "skip_gram" else cbow(9, 4, window=2)
    weights = filled(model)
    data = WordBatches(SENTENCES, COUNTS, 6, kind=kind, window=2, negatives=3, subsample=0)
    x, labels = data.draw(0, 1)
    labels[0, 2] = -1  # one that does not count
    words, contexts = weights["words"], weights["contexts"]
    theirs, to_words, to_contexts = 0.0, np.zeros_like(words), np.zeros_like(contexts)
    given = x["word"] if kind == "skip_gram" else x["around"]
    for seen, candidates, row in zip(given, x["candidates"], labels):
        seen = seen[seen > 0]
        h, to_h = words[seen].mean(0), np.zeros(4)
        for candidate, label in zip(candidates, row):
            if label < 0:
                continue
            s = 1 / (1 + np.exp(-h @ contexts[candidate]))
            theirs -= np.log(s if label else 1 - s) / 6
            to_contexts[candidate] += (s - label) * h / 6
            to_h += (s - label) * contexts[candidate] / 6
        for word in seen:
            to_words[word] += to_h / len(seen)
    ours, gradients = gradients_of(
        model, lambda: NegativeSampling()(ops.convert_to_tensor(labels), model(tensors(x)))
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
    np.testing.assert_allclose(gradients["words"], to_words, atol=1e-5)
    np.testing.assert_allclose(gradients["contexts"], to_contexts, atol=1e-5)


def test_glove_minimises_the_weighted_squares_of_the_paper():
    """Loss and gradient of equation 8 by loops over pairs, in NumPy."""
    model = glove(9, 4)
    w = filled(model)
    data = CooccurrenceBatches(*cooccurrences(SENTENCES, 9, window=3), 12, limit=5.0)
    x, y, weights = data.draw(0, 0)
    theirs, to_words, to_bias = 0.0, np.zeros((9, 4)), np.zeros((9, 1))
    for i, j, logarithm, weight in zip(x["word"][:, 0], x["context"][:, 0], y[:, 0], weights):
        count = np.exp(logarithm)
        assert weight == pytest.approx(min(1.0, (count / 5.0) ** 0.75), rel=1e-5)
        error = w["words"][i] @ w["contexts"][j] + w["words_bias"][i] + w["contexts_bias"][j] - logarithm
        theirs += float(weight * error[0] ** 2)
        to_words[i] += 2 * weight * error * w["contexts"][j]
        to_bias[i] += 2 * weight * error
    squares = keras.losses.MeanSquaredError(reduction="sum")

    def loss():
        return squares(ops.convert_to_tensor(y), model(tensors(x)), ops.convert_to_tensor(weights))

    ours, gradients = gradients_of(model, loss)
    assert ours == pytest.approx(theirs, rel=1e-4)
    np.testing.assert_allclose(gradients["words"], to_words, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(gradients["words_bias"], to_bias, rtol=1e-3, atol=1e-4)


def test_words_that_stand_in_the_same_places_come_to_lie_together():
    """Two topics of six words that never meet: after training each word's neighbours are of its own topic."""
    draw = np.random.default_rng(1)
    sentences = [draw.integers(0, 6, 8) + 1 + 6 * (i % 2) for i in range(300)]
    counts = np.bincount(np.concatenate(sentences), minlength=13)[1:]
    model = skip_gram(13, 8)
    model.compile(
        keras.optimizers.Adam(0.02), NegativeSampling(), jit_compile=keras.config.backend() == "jax"
    )
    data = WordBatches(sentences, counts, 512, window=3, negatives=3, subsample=0)
    losses = model.fit(data, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    vectors = vectors_of(model, [f"w{i}" for i in range(1, 13)])
    for i in (1, 5, 7, 12):
        near = {int(word[1:]) for word, _ in vectors.nearest(f"w{i}", 3)}
        assert all((n > 6) == (i > 6) for n in near)


@pytest.mark.once
def test_a_vocabulary_has_the_frequent_words_first_and_none_at_zero():
    words = Words([["b", "a", "b"], ["c", "a", "b", "d"]], minimum=2)
    assert words.words == ("b", "a") and words.counts.tolist() == [3, 2] and words.vocabulary_size == 3
    assert [ids.tolist() for ids in words.encode([["d", "a", "b"], ["c"]])] == [[2, 1], []]
    assert Words([["x", "y", "x"]], minimum=1, most=1).words == ("x",)
    with pytest.raises(ValueError, match=r"some word must come 5 times. Received: 1 words"):
        Words([["x"]])


@pytest.mark.once
def test_pairs_are_neighbours_of_one_sentence_within_the_drawn_window():
    data = WordBatches(SENTENCES, COUNTS, 8, window=2, subsample=0, seed=5)
    given, found = data._epoch(3)
    possible = {}
    for sentence in SENTENCES:
        for i, word in enumerate(sentence.tolist()):
            for j in range(max(0, i - 2), min(len(sentence), i + 3)):
                if j != i:
                    pair = (word, int(sentence[j]))
                    possible[pair] = possible.get(pair, 0) + 1
    drawn = {}
    for word, other in zip(given[:, 0].tolist(), found.tolist()):
        drawn[word, other] = drawn.get((word, other), 0) + 1
    assert all(drawn[pair] <= possible.get(pair, 0) for pair in drawn)
    near = sum(2 * (len(sentence) - 1) for sentence in SENTENCES)
    far = sum(2 * max(0, len(sentence) - 2) for sentence in SENTENCES)
    assert near < len(found) < near + far  # the nearest always, the others half of the time


@pytest.mark.once
def test_frequent_words_are_left_out_and_drawn_words_follow_their_counts():
    text = [np.array([1] * 900 + [2] * 100)]
    data = WordBatches(text, np.array([900, 100]), 50, window=1, subsample=0.01, negatives=4)
    expected = [np.sqrt(0.01 / f) + 0.01 / f for f in (0.9, 0.1)]
    np.testing.assert_allclose(data.keep[1:], expected)
    labels, candidates = [], []
    for i in range(len(data)):
        x, y = data.draw(0, i)
        candidates.append(x["candidates"])
        labels.append(y)
    candidates, labels = np.concatenate(candidates), np.concatenate(labels)
    assert (labels[:, 0] == 1).all()
    np.testing.assert_array_equal(labels[:, 1:] == -1, candidates[:, 1:] == candidates[:, :1])
    share = 900**0.75 / (900**0.75 + 100**0.75)
    assert abs((candidates[:, 1:] == 1).mean() - share) < 0.06


@pytest.mark.once
@pytest.mark.parametrize("kind", ["skip_gram", "cbow"])
def test_batches_of_words_follow_from_seed_and_epoch(kind):
    first, again = (WordBatches(SENTENCES, COUNTS, 8, kind=kind, seed=2) for _ in range(2))
    again.draw(4, 0)
    for epoch, i in ((0, 0), (2, 1), (4, len(first) - 1)):
        (x, y), (u, v) = first.draw(epoch, i), again.draw(epoch, i)
        assert len(y) == 8
        np.testing.assert_array_equal(y, v)
        for name in x:
            np.testing.assert_array_equal(x[name], u[name])
    assert not np.array_equal(first.draw(0, 0)[0]["candidates"], first.draw(1, 0)[0]["candidates"])


@pytest.mark.once
def test_contexts_of_cbow_are_the_words_around():
    data = WordBatches(
        [np.array([1, 2, 3]), np.array([4, 5])], np.ones(5), 5, kind="cbow", window=1, subsample=0
    )
    given, found = data._epoch(0)
    around = {int(word): tuple(row) for word, row in zip(found, given)}
    assert around == {1: (0, 2), 2: (1, 3), 3: (2, 0), 4: (0, 5), 5: (4, 0)}


@pytest.mark.once
def test_cooccurrences_are_counted_by_one_over_the_distance():
    first, second, counts = cooccurrences(SENTENCES, 9, window=3)
    theirs = np.zeros((9, 9))
    for sentence in SENTENCES:
        for i in range(len(sentence)):
            for j in range(i + 1, min(len(sentence), i + 4)):
                theirs[sentence[i], sentence[j]] += 1 / (j - i)
                theirs[sentence[j], sentence[i]] += 1 / (j - i)
    ours = np.zeros((9, 9))
    ours[first, second] = counts
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert len(counts) == (theirs > 0).sum()


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(kind="skipgram"), r"'skip_gram' or 'cbow'. Received: kind='skipgram'"),
        (dict(sentences=[np.array([1]), np.array([2])]), r"no word has a neighbour"),
    ],
)
def test_what_gives_no_words_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WordBatches(**{"sentences": SENTENCES, "counts": COUNTS, "batch_size": 4, **arguments})


GRID = WordVectors(
    ("king", "man", "queen", "woman", "apple", "zero"),
    [[2, 1, 0.1], [2, 0, 0], [0, 1, 0.1], [0, 0.1, 0.01], [0, 0, 3], [0, 0, 0]],
)


@pytest.mark.once
def test_neighbours_and_analogies_go_by_the_cosine():
    assert GRID.nearest("king", 1)[0][0] == "man" and len(GRID.nearest("king", 99)) == 5
    a, b = GRID["king"], GRID["apple"]
    assert GRID.similarity("king", "apple") == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    units = GRID.units
    wanted = units[0] - units[1] + units[3]
    best = max(("queen", "apple", "zero"), key=lambda word: units[GRID.places[word]] @ wanted)
    assert GRID.analogy("man", "king", "woman")[0][0] == best == "queen"
    assert "king" in GRID and "prince" not in GRID and len(GRID) == 6 and GRID.dim == 3
    with pytest.raises(ValueError, match=r"no vector of that word, only king. Received: 'kin'"):
        GRID.nearest("kin")


@pytest.mark.once
def test_agreement_is_spearmans_over_the_known_pairs():
    pytest.importorskip("scipy")
    pairs = (("King", "man"), ("king", "apple"), ("queen", "woman"), ("king", "prince"), ("man", "apple"))
    scores = (9.0, 1.0, 8.0, 7.0, 0.5)
    found = GRID.agreement(WordPairs("made", pairs, scores, "", ""))
    ours = [GRID.similarity(a.lower(), b) for a, b in pairs if b != "prince"]
    ranks = [np.argsort(np.argsort(values)) for values in ([9.0, 1.0, 8.0, 0.5], ours)]
    assert found.covered == 4 and found.pairs == 5
    assert found.correlation == pytest.approx(np.corrcoef(*ranks)[0, 1])
    nothing = GRID.agreement(WordPairs("made", (("a", "b"),), (1.0,), "", ""))
    assert np.isnan(nothing.correlation) and nothing.covered == 0


@pytest.mark.once
def test_analogies_count_by_section_where_all_four_words_are_known():
    questions = {
        "family": (("man", "king", "woman", "Queen"), ("man", "woman", "king", "apple")),
        "fruit": (("a", "b", "c", "d"),),
    }
    found = GRID.answers(Analogies("made", questions, "", ""))
    assert found == {"family": (1, 2, 2), "fruit": (0, 0, 1)}


@pytest.mark.once
def test_a_classifier_begins_with_known_vectors(tmp_path):
    words = ("", "queen", "unheard", "king")
    inputs = keras.Input((3,), dtype="int32")
    layer = embedding_layer(GRID, words, mask_zero=True, trainable=False)
    x = keras.layers.GlobalAveragePooling1D()(layer(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(table[[1, 3]], GRID.vectors[[2, 0]])
    deviation = np.sqrt(np.mean(GRID.vectors**2))
    assert 0 < np.abs(table[2]).max() < 4 * deviation
    assert model.predict_on_batch(np.array([[1, 3, 0]])).shape == (1, 2)
    assert GRID.rows(words)[1] == 2
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.layers[1].get_weights()[0], table)


@pytest.mark.once
def test_vectors_belong_to_words():
    with pytest.raises(ValueError, match=r"a vector for each word. Received: 1 words"):
        WordVectors(("a",), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"may come once. Received: 'a' twice"):
        WordVectors(("a", "a"), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"a vector for each word"):
        vectors_of(skip_gram(5, 2), ("a", "b"))
    summed = vectors_of(model := glove(3, 2), ("a", "b"))
    tables = [model.get_layer(name).get_weights()[0][1:] for name in ("words", "contexts")]
    np.testing.assert_allclose(summed.vectors, tables[0] + tables[1], rtol=1e-6)
