"""Texts as an encoder reads them, answers in windows, words that were hidden, and where an encoder comes from."""

import json

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data.encodings import (
    MASK,
    best_answer,
    marked,
    marked_words,
    piece_labels,
    span_of,
    windows,
    word_pieces,
)
from kzoo.data.masked import MaskedBatches
from kzoo.data.sequences import IGNORED
from kzoo.models.text.bert_heads import last_token_classifier, masked_language_model
from kzoo.optimizers.fine_tuning import fine_tuning_adamw
from kzoo.weights.decoders import holds_decoder, text_decoder
from kzoo.weights.encoders import text_encoder

pytestmark = pytest.mark.once
TEXTS = ["The river runs to the sea.", "A playing dog, a reading man!", "unbelievable rivers"] * 5
SIZES = dict(dim=8, depth=1, num_heads=2, max_sequence_length=16)


@pytest.fixture(scope="module")
def tokens():
    return word_pieces(TEXTS, 60)


def pieces(tokens, ids):
    return [tokens.tokenizer.id_to_token(int(i)) for i in ids]


def test_texts_are_marked_and_cut(tokens):
    whole, short = marked(tokens, [TEXTS[0], ""], 50)
    assert pieces(tokens, whole)[0] == "[CLS]" and pieces(tokens, whole)[-1] == "[SEP]"
    assert pieces(tokens, short) == ["[CLS]", "[SEP]"]
    (cut,) = marked(tokens, TEXTS[:1], 5)
    assert pieces(tokens, cut) == [*pieces(tokens, whole)[:4], "[SEP]"]
    assert len(tokens.encode(TEXTS[0])) == len(whole)  # the vocabulary is as it was
    with pytest.raises(ValueError, match=r"length must be above 2\. Received: length=2"):
        marked(tokens, TEXTS, 2)


def test_words_are_told_by_their_first_pieces(tokens):
    words = [("unbelievable", "dog", "river"), ("the", "\x01", "sea")]
    ids, places = marked_words(tokens, words, 30)
    labels = piece_labels(ids, places, [(4, 5, 6), (1, 2, 3)])
    for row, first, own, said in zip(ids, places, labels, words):
        assert len(row) == len(own)
        for place, word in zip(first, said):
            if word != "\x01":
                assert word.startswith(pieces(tokens, row)[place])
    assert sorted(labels[0][labels[0] != IGNORED]) == [4, 5, 6]
    assert places[1][1] == -1 and labels[1][labels[1] != IGNORED].tolist() == [1, 3]
    (_,), (cut,) = marked_words(tokens, words[:1], 4)
    assert cut[0] == 1 and cut[2] == -1


def test_answers_are_found_again_in_windows_that_overlap(tokens):
    context = " ".join(TEXTS[:3])
    for answer in ("river runs", "dog", "unbelievable rivers"):
        start = context.index(answer)
        found = windows(tokens, ["the sea?"], [context], 24, 8)
        assert len(found) > 2 and {one.question for one in found} == {0}
        spans = [span_of(one, start, answer) for one in found]
        assert any(map(any, spans)), answer
        logits = np.full((2, len(found), 24), -2.0)
        for i, (first, last) in enumerate(spans):
            if last:
                one = found[i]
                assert context[one.begins[first] : one.ends[last]] == answer
                assert one.segments[first] == one.segments[last] == 1
                logits[0, i, first] = logits[1, i, last] = 9.0
        said, sure = best_answer(context, found, *logits)
        assert said == answer and 0.3 < sure <= 1
    backwards = np.zeros((2, 1, 24))
    backwards[0, 0, 12] = backwards[1, 0, 7] = 9.0  # no answer ends before it begins, or is longer than asked
    said, _ = best_answer(context, found[:1], *backwards, longest=2)
    first, last = found[0].begins[12], found[0].ends[13]
    assert said in (context[first : found[0].ends[12]], context[first:last]) or said.endswith(
        context[found[0].begins[7] : found[0].ends[7]]
    )
    with pytest.raises(ValueError, match=r"leave room for more than 8 pieces.*question 0"):
        windows(tokens, [TEXTS[1]], [context], 20, 8)


def test_best_answer_is_the_best_of_all_pieces_by_hand(tokens):
    context = TEXTS[0]
    (one,) = windows(tokens, ["sea?"], [context], 60, 4)
    random = np.random.default_rng(0)
    n = len(one.ids)
    start, end = random.normal(size=(2, n + 3))
    inside = [i for i in range(n) if one.begins[i] >= 0]
    scores = {(i, j): start[i] + end[j] for i in inside for j in inside if 0 <= j - i < 4}
    best = max(scores, key=scores.get)
    said, sure = best_answer(context, [one], [start], [end], longest=4)
    assert said == context[one.begins[best[0]] : one.ends[best[1]]]
    np.testing.assert_allclose(sure, np.exp(scores[best]) / np.exp([*scores.values()]).sum(), rtol=1e-6)


def test_a_share_of_the_pieces_is_hidden_anew_in_every_epoch(tokens):
    rows = marked(tokens, TEXTS * 40, 30)
    data = MaskedBatches(rows, tokens, 100, lengths=(30,), seed=1)
    mask, kinds, seen = tokens.id_of(MASK), [], set()
    for i in range(len(data)):
        (x, y), (again, _), (other, _) = data.draw(0, i), data.draw(0, i), data.draw(1, i)
        np.testing.assert_array_equal(x, again)
        assert not np.array_equal(x, other)
        true = np.where(y == IGNORED, x, y)
        chosen = y != IGNORED
        free = np.isin(true, [0, *(tokens.id_of(m) for m in ("[CLS]", "[SEP]"))], invert=True)
        assert not (chosen & ~free).any()
        np.testing.assert_array_equal(chosen.sum(1), np.maximum(1, np.round(0.15 * free.sum(1))))
        kinds += [np.select([x == mask, x == y], ["mask", "same"], "other")[chosen]]
        seen |= {tuple(row[row != 0]) for row in true}
    assert seen == {tuple(row) for row in rows}
    kinds = np.concatenate(kinds)
    for kind, share in (("mask", 0.8), ("other", 0.1), ("same", 0.1)):
        assert abs(np.mean(kinds == kind) - share) < 0.04, kind
    at_places = MaskedBatches(rows, tokens, 100, lengths=(30,), seed=1, places=True)
    (x, y), (some, labels) = data.draw(2, 1), at_places.draw(2, 1)
    np.testing.assert_array_equal(some["tokens"], x)
    np.testing.assert_array_equal(np.take_along_axis(y, some["places"], 1), labels)
    assert (labels != IGNORED).sum() == (y != IGNORED).sum()
    with pytest.raises(ValueError, match=r"rate must lie between 0 and 1\. Received: rate=1"):
        MaskedBatches(rows, tokens, 4, rate=1)
    with pytest.raises(ValueError, match=r"a piece to guess\. Received: marks alone in example 1"):
        MaskedBatches([rows[0], rows[0][[0, -1]]], tokens, 1)


def test_an_encoder_is_fresh_or_that_of_a_pre_training(tmp_path, tokens):
    fresh, own = text_encoder("bert_tiny", TEXTS, **SIZES)
    assert fresh.get_layer("token_embedding").embeddings.shape[0] == own.vocabulary_size
    pretrained = kzoo.create_model("bert_tiny", vocabulary_size=tokens.vocabulary_size)
    network = masked_language_model(pretrained)
    network.save(tmp_path / "model.keras")
    (tmp_path / "card.json").write_text(json.dumps({"model": "bert_tiny"}))
    tokens.save(tmp_path / "tokenizer.json")
    encoder, read = text_encoder(str(tmp_path), pairs=True)
    assert read.vocabulary_size == tokens.vocabulary_size and not holds_decoder(tmp_path)
    x = np.array([marked(tokens, TEXTS[:1], 9)[0]])
    ours = encoder.predict_on_batch({"tokens": x, "segments": np.zeros_like(x)})
    np.testing.assert_allclose(ours, pretrained.predict_on_batch(x), rtol=1e-5, atol=1e-6)


def test_what_is_no_encoder_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"no encoder 'bert_tinny': did you mean bert_tiny"):
        text_encoder("bert_tinny", TEXTS)
    with pytest.raises(ValueError, match=r"needs texts for its vocabulary"):
        text_encoder("bert_tiny")
    with pytest.raises(ValueError, match=r"must have a card\.json of a run, or a config\.json"):
        text_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    with pytest.raises(ValueError, match=r"must have model_type='bert'\. Received: 'roberta'"):
        text_encoder(str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"has model\.keras, .* or config\.json and model\.safetensors"
    ):
        text_decoder(tmp_path / "nowhere")


def test_a_gpt_tells_classes_by_its_last_real_token(tmp_path):
    decoder = kzoo.create_model("gpt2", vocabulary_size=9, max_sequence_length=8, dim=8, depth=1, num_heads=2)
    network = last_token_classifier(decoder, 3, pad=7)
    alone = network.predict_on_batch(np.array([[1, 0, 4]]))
    padded = network.predict_on_batch(np.array([[1, 0, 4, 7, 7]]))
    np.testing.assert_allclose(alone, padded, rtol=1e-5, atol=1e-6)
    hidden = keras.Model(decoder.input, decoder.get_layer("norm").output).predict_on_batch(
        np.array([[1, 0, 4]])
    )
    kernel, bias = network.get_layer("head").get_weights()
    np.testing.assert_allclose(alone, hidden[:, -1] @ kernel + bias, rtol=1e-4, atol=1e-5)
    decoder.save(tmp_path / "model.keras")
    assert holds_decoder(tmp_path)


def test_the_rate_rises_falls_to_zero_and_vectors_do_not_decay():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    kernel, bias = model.trainable_variables
    bias.assign([1.0, 1.0])
    optimizer = fine_tuning_adamw(model, 0.2, 20, weight_decay=0.5)
    rates = [
        float(keras.ops.convert_to_numpy(optimizer._learning_rate(step))) for step in (0, 1, 2, 11, 20, 30)
    ]
    np.testing.assert_allclose(rates, [0.0, 0.1, 0.2, 0.1, 0.0, 0.0], atol=1e-7)
    before = kernel.numpy()
    for _ in range(3):
        optimizer.apply([keras.ops.zeros(v.shape) for v in (kernel, bias)], [kernel, bias])
    np.testing.assert_array_equal(bias.numpy(), [1.0, 1.0])
    assert (np.abs(kernel.numpy()) < np.abs(before)).all()
