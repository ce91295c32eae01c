"""Vocabularies: text to numbers and back, files, and what does not belong together."""

import json
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data import Characters, Subwords, check_vocabulary, load_tokens
from kzoo.data import tokens as tokens_module

pytestmark = pytest.mark.once
LINES = ["the cat sat on the mat", "the dog ate the cat's dinner", "a cat and a dog", "Él no sabe"] * 3


def test_characters_come_back_as_they_were():
    letters = Characters.of("hello wörld 𝄞")
    ids = letters.encode("low hör 𝄞")
    assert ids.dtype == np.int32 and letters.decode(ids) == "low hör 𝄞"
    assert letters.vocabulary_size == len(set("hello wörld 𝄞"))
    assert letters.symbols == tuple(sorted(letters.symbols))
    assert len(letters.encode("")) == 0 and letters.decode([]) == ""
    assert Characters(".ab").encode("ba.").tolist() == [2, 1, 0]


def test_unknown_characters_are_named_with_their_places():
    with pytest.raises(ValueError) as caught:
        Characters("abc").encode("aéb–cé" + "xyzuvw")
    for part in ("'é' at 1", "'–' at 3", "and 3 more", "vocabulary of 3", "12 characters, 9 of them unknown"):
        assert part in str(caught.value)
    assert Characters("abc?", unknown="?").encode("axc").tolist() == [0, 3, 2]
    assert Characters.of("abc", unknown="�").decode([3]) == "�"


def test_a_long_text_needs_little_more_memory_than_its_numbers():
    letters = Characters.of("ab")
    text = "ab" * (10 << 20)
    tracemalloc.start()
    ids = letters.encode(text)
    assert tracemalloc.get_traced_memory()[1] < 1.3 * ids.nbytes + (16 << 20)
    tracemalloc.stop()
    assert ids.shape == (20 << 20,) and ids[:3].tolist() == [0, 1, 0]


@pytest.mark.parametrize("symbols", ["", "aa", ("a", "bc")])
def test_symbols_are_single_characters_each_once(symbols):
    with pytest.raises(ValueError, match=r"single characters, each once"):
        Characters(symbols)


def test_numbers_outside_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match=r"lie from 0 to 2. Received: 3"):
        Characters("abc").decode([0, 3])
    with pytest.raises(ValueError, match=r"unknown must be one of"):
        Characters("abc", unknown="d")


def test_byte_pairs_write_every_text():
    pytest.importorskip("tokenizers")
    tokens = Subwords.train(iter(LINES), "bpe", vocabulary_size=300)
    assert tokens.vocabulary_size <= 300 and tokens.id_of("[PAD]") == 0
    for text in ("the cat", "日本 🎉\n\ttabs", "", "the" * 50):
        assert tokens.decode(tokens.encode(text)) == text
    assert len(tokens.encode("the cat")) < len("the cat")
    assert len(tokens.encode("")) == 0


def test_word_pieces_and_words_have_a_place_for_what_is_unknown():
    pytest.importorskip("tokenizers")
    pieces = Subwords.train(LINES, "wordpiece", vocabulary_size=60, lowercase=True)
    assert pieces.decode(pieces.encode("The Cat sat")) == "the cat sat"
    assert pieces.id_of("[UNK]") in pieces.encode("日")
    words = Subwords.train(LINES, "words", vocabulary_size=12, lowercase=True)
    assert words.vocabulary_size == 12
    unknown = words.id_of("[UNK]")
    assert (words.encode("the zebra") == unknown).tolist() == [False, True]
    many = words.encode_all(["the cat", "", "a dog"])
    assert [ids.tolist() for ids in many] == [words.encode(t).tolist() for t in ("the cat", "", "a dog")]
    with pytest.raises(ValueError, match=r"must have the entry. Received: '\[BOS\]'"):
        words.id_of("[BOS]")


def test_words_keep_their_apostrophes_and_come_often_enough():
    pytest.importorskip("tokenizers")
    words = Subwords.train(LINES, "words", vocabulary_size=99, lowercase=True)
    assert words.symbols[:2] == ("[PAD]", "[UNK]") and {"cat's", "él"} < set(words.symbols)
    assert [words.symbols[i] for i in words.encode("The cat's, the dog's!")] == [
        *("the", "cat's", "[UNK]", "the", "[UNK]", "[UNK]"),
    ]
    often = Subwords.train(LINES, "words", vocabulary_size=99, minimum=6)
    assert set(often.symbols) == {"[PAD]", "[UNK]", "the", "cat", "dog", "a"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(texts=LINES, kind="bpee"), "did you mean bpe"),
        (dict(texts=LINES, kind="words", specials=("[PAD]",)), "needs '\\[UNK\\]'"),
        (dict(texts=LINES, kind="bpe", vocabulary_size=200), "room for more"),
        (dict(texts=["", " "], kind="bpe", vocabulary_size=300), "some text to learn"),
    ],
)
def test_what_gives_no_vocabulary_is_refused(arguments, message):
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError, match=message):
        Subwords.train(**arguments)


def test_a_text_that_is_too_long_for_the_library_is_refused(monkeypatch):
    pytest.importorskip("tokenizers")
    tokens = Subwords.train(LINES, "words", vocabulary_size=12)
    monkeypatch.setattr(tokens_module, "LONGEST", 100)
    for encode in (tokens.encode, lambda text: tokens.encode_all([text])):
        with pytest.raises(ValueError, match=r"encode it in pieces.*Received: 101 characters"):
            encode("a" * 101)


def test_either_vocabulary_is_saved_beside_a_model_and_found_again(tmp_path):
    letters = Characters.of("abcé", unknown="é")
    letters.save(tmp_path / "a" / "tokenizer.json")
    again = load_tokens(tmp_path / "a" / "tokenizer.json")
    assert again.symbols == letters.symbols and again.unknown == "é"
    pytest.importorskip("tokenizers")
    tokens = Subwords.train(LINES, "bpe", vocabulary_size=300)
    tokens.save(tmp_path / "tokenizer.json")
    again = load_tokens(tmp_path / "tokenizer.json")
    assert again.encode("the cat").tolist() == tokens.encode("the cat").tolist()
    assert Subwords.load(tmp_path / "tokenizer.json").vocabulary_size == tokens.vocabulary_size


def test_damaged_tokenizer_files_are_told(tmp_path):
    pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    with pytest.raises(FileNotFoundError, match=r"no such tokenizer file"):
        load_tokens(path)
    Subwords.train(LINES, "words", vocabulary_size=12).save(path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match=r"truncated or is not JSON"):
        load_tokens(path)
    path.write_text(json.dumps({"version": "1.0"}))
    for load in (load_tokens, Subwords.load):
        with pytest.raises(ValueError, match=r"not a tokenizer of the library"):
            load(path)


def test_a_tokenizer_and_a_model_of_another_vocabulary_are_told_apart():
    letters = Characters.of("abcdefgh")
    model = kzoo.create_model("makemore_mlp", vocabulary_size=8)
    check_vocabulary(letters, model)
    for symbols, wrong in (("abcdefg", 7), ("abcdefghi", 9)):
        with pytest.raises(
            ValueError, match=rf"different vocabularies.*Received: {wrong} entries and.* of 8 rows"
        ):
            check_vocabulary(Characters(symbols), model)
    check_vocabulary(Characters("abcdefg"), model, padded=True)
    images = kzoo.create_model("mlp_small", image_shape=(2, 2, 1), num_classes=2)
    with pytest.raises(ValueError, match=r"no input of the model goes into an Embedding"):
        check_vocabulary(letters, images)
    assert keras.config.backend()


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "words"])
def test_the_same_texts_give_the_same_vocabulary(kind):
    texts = (Path(__file__).parent / "few_reviews.tsv").read_text().splitlines()
    found = {
        tuple(Subwords.train(texts, kind, 400, specials=("[PAD]", "[UNK]", "[CLS]")).symbols)
        for _ in range(6)
    }
    assert len(found) == 1


def test_marks_within_words_are_no_entries_of_their_own():
    tokens = Subwords.train(["a warm film", "a warmer one"] * 5, "wordpiece", 60)
    assert tokens.decode(tokens.encode("warm")) == "warm"
    assert "##a" in tokens.symbols and tokens.encode("##a").tolist() == tokens.encode("## a").tolist()
