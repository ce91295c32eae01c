"""Files of word vectors: what was written comes back, byte for byte, and what is damaged is told."""

import gzip
import struct

import numpy as np
import pytest

from kzoo.models.text.vector_files import LAYOUTS
from kzoo.models.text.vectors import WordVectors

pytestmark = pytest.mark.once
WORDS = ("the", "café", "</s>", "10,000", "日本")
VECTORS = WordVectors(WORDS, np.random.default_rng(0).normal(size=(5, 7)) * [1e-6, 1, 1, 1, 1e4, 1, 1])


def by_hand(newline=b"\n"):
    """word2vec's binary layout, written value by value; gensim leaves the line ends out."""
    out = b"5 7\n"
    for word, row in zip(WORDS, VECTORS.vectors):
        out += word.encode() + b" " + b"".join(struct.pack("<f", value) for value in row) + newline
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_gives_words_and_vectors_back(layout, suffix, tmp_path):
    name = "v.bin" if layout == "word2vec_binary" else "v.txt"
    VECTORS.save(tmp_path / (name + suffix), layout)
    for given in (None, layout):
        again = WordVectors.load(tmp_path / (name + suffix), given)
        assert again.words == WORDS
        np.testing.assert_array_equal(again.vectors, VECTORS.vectors)
    some = WordVectors.load(tmp_path / (name + suffix), most=2)
    assert some.words == WORDS[:2]
    again.save(tmp_path / ("b-" + name), layout)
    VECTORS.save(tmp_path / ("a-" + name), layout)
    assert (tmp_path / ("a-" + name)).read_bytes() == (tmp_path / ("b-" + name)).read_bytes()


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["word2vec", "gensim"])
def test_the_binary_layout_is_that_of_word2vec_byte_for_byte(newline, tmp_path):
    (tmp_path / "theirs.bin").write_bytes(by_hand(newline))
    loaded = WordVectors.load(tmp_path / "theirs.bin")
    assert loaded.words == WORDS
    np.testing.assert_array_equal(loaded.vectors, VECTORS.vectors)
    loaded.save(tmp_path / "ours.bin", "word2vec_binary")
    assert (tmp_path / "ours.bin").read_bytes() == by_hand()


def test_texts_of_other_tools_are_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"2 3 \nthe 0.100000 -2.000000 3e-2 \nof 1 2 3 \n")  # word2vec's own
    first = WordVectors.load(tmp_path / "a.txt")
    np.testing.assert_allclose(first.vectors, [[0.1, -2, 0.03], [1, 2, 3]])
    (tmp_path / "b.txt").write_bytes(b"the 0.1 -2 0.03\n. . 1 2 3\n")  # GloVe's, a word with a space in it
    assert WordVectors.load(tmp_path / "b.txt").words == ("the", ". .")
    many = WordVectors([f"w{i}" for i in range(3000)], np.random.default_rng(1).normal(size=(3000, 30)))
    many.save(tmp_path / "many.bin", "word2vec_binary")  # longer than what is read at once
    np.testing.assert_array_equal(WordVectors.load(tmp_path / "many.bin").vectors, many.vectors)


@pytest.mark.parametrize("cut", [1, 9, 40, 120])
def test_a_truncated_binary_file_is_told(cut, tmp_path):
    path = tmp_path / "v.bin"
    path.write_bytes(by_hand(b"")[:-cut])
    with pytest.raises(ValueError, match=rf"{path} is truncated.*of 5.*Received: [0-4] whole vectors of 7"):
        WordVectors.load(path)


@pytest.mark.parametrize(
    ("content", "layout", "message"),
    [
        (b"", None, r"has no word vectors"),
        (b"hello\n", None, r"has no word vectors"),
        (b"3 2\na 1 2\nb 1 2\n", None, r"truncated: its first line says 3 words. Received: 2"),
        (b"1 2\na 1 2\nb 1 2\n", None, r"goes on after its 1 words. Received: line 3"),
        (b"2 2\na 1 2\nb 1\n", None, r"line 3 of .* must be a word and 2 numbers.*Received: 1 values"),
        (b"a 1 2\nb 1 x\n", None, r"line 2 of .* must be a word and 2 numbers"),
        (b"a 1 2\n\xff 1 2\n", None, r"line 2 of .* is not UTF-8"),
        (b"a 1 2\n", "word2vec", r"does not begin as word2vec's files do"),
        (b"a 1 2\n", "word2vec_binary", r"does not begin as word2vec's files do"),
        (b"1 1\na \0\0\0\0\nb", "word2vec_binary", r"goes on after its 1 words"),
        (b"2 1\na \0\0\0\0\nb", "word2vec_binary", r"ends in word 2 of 2"),
        (b"0 4\n", "word2vec_binary", r"does not begin"),
        (b"a 1\na 2\n", None, r"may come once. Received: 'a' twice"),
        (b"a 1\n", "glov", r"did you mean glove"),
    ],
)
def test_damaged_and_other_files_are_told(content, layout, message, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        WordVectors.load(path, layout)


def test_a_truncated_packed_file_and_a_missing_one_are_told(tmp_path):
    packed = gzip.compress(by_hand())
    (tmp_path / "v.bin.gz").write_bytes(packed[: len(packed) - 20])
    with pytest.raises(ValueError, match=r"v.bin.gz is truncated or is not gzip"):
        WordVectors.load(tmp_path / "v.bin.gz")
    with pytest.raises(FileNotFoundError, match=r"no such file of word vectors"):
        WordVectors.load(tmp_path / "none.txt")


@pytest.mark.parametrize("word", ["", "a b", "a\nb"])
def test_words_that_a_file_cannot_hold_are_refused_and_leave_nothing(word, tmp_path):
    with pytest.raises(ValueError, match=r"no spaces or line ends"):
        WordVectors((word,), np.zeros((1, 2))).save(tmp_path / "v.txt")
    with pytest.raises(ValueError, match=r"no layout of word vectors 'binary'"):
        VECTORS.save(tmp_path / "v.bin", "binary")
    assert not list(tmp_path.iterdir())
