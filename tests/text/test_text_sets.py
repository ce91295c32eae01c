"""Text sets by name, and text files of one's own."""

import gzip
import hashlib
import json
import os
import tracemalloc

import numpy as np
import pytest

from kzoo.data import fetch, list_texts, load_corpus, load_text, read_lines, read_text
from kzoo.data.entities import read_conll
from kzoo.data.questions import read_squad
from kzoo.data.reading import published
from kzoo.data.sentences import ENGLISH, sentences, words_of
from kzoo.data.text_sets import TABLE

pytestmark = pytest.mark.once
needs_data = pytest.mark.skipif(
    not os.environ.get("KZOO_DATA_DIR"), reason="KZOO_DATA_DIR names no data folder"
)


def sizes(data):
    return [len(getattr(data, part)) for part in ("train", "validation", "test")]


def pairs_in(data):
    return [len(getattr(data, part)[0]) for part in ("train", "validation", "test")]


@needs_data
def test_every_set_is_here_whole_and_says_where_it_comes_from():
    for name in TABLE:
        data = load_text(name)
        assert data.name == name and data.source and data.licence


@needs_data
def test_shakespeare_is_parted_as_nanogpt_does():
    play = load_text("tinyshakespeare")
    assert [len(play.train), len(play.validation)] == [1_003_854, 111_540]
    assert play.train.startswith("First Citizen:") and len(set(play.train + play.validation)) == 65


@needs_data
def test_the_republic_comes_without_the_notes_of_its_publisher():
    book = load_text("republic", validation=0.2)
    whole = book.train + book.validation
    assert "Gutenberg" not in whole[:5000] and "THE REPUBLIC" in whole[:200]
    assert abs(len(book.validation) / len(whole) - 0.2) < 1e-4


@needs_data
def test_labelled_texts_have_their_published_sizes_and_balanced_parts():
    assert pairs_in(load_text("sst2")) == [6920, 872, 1821]
    reviews = load_text("rt_polarity")
    assert sum(pairs_in(reviews)) == 10_662 and pairs_in(reviews)[1:] == [1066, 1066]
    assert np.bincount(reviews.test[1]).tolist() == [533, 533] and reviews.labels == ("negative", "positive")
    assert set(reviews.train[0]) != set(load_text("rt_polarity", seed=1).train[0])
    news = load_text("ag_news").take(40)
    assert pairs_in(news) == [40, 40, 40] and np.bincount(news.test[1]).tolist() == [10] * 4
    assert all("\\" not in text for text in news.train[0])


@needs_data
def test_pairs_are_aligned_and_no_english_sentence_is_on_both_sides():
    captions = load_text("multi30k", languages=("en", "de"))
    assert pairs_in(captions) == [29_000, 1014, 1000] and captions.languages == ("en", "de")
    assert captions.train[0][0] == "Two young, White males are outside near many bushes."
    assert captions.train[1][0] == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."
    parts = load_text("tatoeba", held_out=500)
    train, validation, test = (set(getattr(parts, name)[0]) for name in ("train", "validation", "test"))
    assert not (train & test or train & validation or validation & test) and len(test) == 500
    assert sum(pairs_in(parts)) == 167_130
    assert pairs_in(captions.take({"train": 7})) == [7, 1014, 1000]


@needs_data
def test_entities_have_a_tag_for_each_token():
    web = load_text("wnut17")
    assert pairs_in(web) == [3394, 1009, 1287] and len(web.labels) == 13 and web.labels[0] == "O"
    for tokens, tags in (web.train, web.validation, web.test):
        assert [len(sentence) for sentence in tokens] == [len(sentence) for sentence in tags]
        assert {tag for sentence in tags for tag in sentence} <= set(web.labels)


@needs_data
def test_questions_are_folded_by_article():
    data = load_text("xquad")
    assert len(data.questions) == 1190
    folds = data.folds(4, seed=1)
    tested = [question.id for _, test in folds for question in test]
    assert sorted(tested) == sorted(question.id for question in data.questions)
    for train, test in folds:
        assert not {q.article for q in train} & {q.article for q in test}
    with pytest.raises(ValueError, match=r"2 to 48 folds.*Received: count=1"):
        data.folds(1)


@needs_data
def test_instructions_are_parted_as_in_the_book():
    assert sizes(load_text("instructions")) == [935, 55, 110]
    first = load_text("preferences").train[0]
    assert first.chosen != first.rejected and first.instruction.startswith("Evaluate the following phrase")
    assert sum(sizes(load_text("seed_tasks"))) == 175 and load_text("seed_tasks").train[0].chosen is None


@needs_data
def test_words_judged_by_people_are_read():
    assert [len(load_text(name).pairs) for name in ("ws353", "simlex999", "men", "mc30")] == [
        353, 999, 3000, 30,
    ]  # fmt: skip
    assert load_text("ws353").pairs[1] == ("tiger", "cat") and load_text("ws353").scores[1] == 7.35
    sections = load_text("analogies").sections
    assert len(sections) == 14 and sum(map(len, sections.values())) == 19_544
    assert sections["capital-common-countries"][0] == ("Athens", "Greece", "Baghdad", "Iraq")


@needs_data
def test_sentences_are_lists_of_lower_case_words():
    assert "tinyshakespeare" in ENGLISH
    play = sentences("tinyshakespeare")
    assert play[1][:6] == ["all", "speak", "speak"] or len(play) > 10_000
    assert all(len(sentence) > 1 for sentence in play)
    with pytest.raises(ValueError, match=r"no English text set 'wnut17'"):
        sentences("wnut17")


def test_words_are_letters_and_the_apostrophes_between_them():
    assert words_of("Don’t stop — the 3rd 'Étude'!") == ["don't", "stop", "the", "rd", "étude"]


def test_names_and_options_are_checked():
    with pytest.raises(ValueError, match=r"did you mean sst2"):
        load_text("sst22")
    with pytest.raises(ValueError, match=r"options of multi30k are: languages. Received: seed=3"):
        load_text("multi30k", seed=3)
    with pytest.raises(ValueError, match=r"options of sst2 are: none"):
        load_text("sst2", seed=3)
    with pytest.raises(ValueError, match=r"no language of multi30k 'es'"):
        load_text("multi30k", languages=("en", "es"))
    assert set(list_texts()) == set(TABLE) and "CC BY 4.0" in list_texts()["wnut17"]


def test_a_file_may_lie_here_packed_or_not(tmp_path, monkeypatch):
    monkeypatch.setenv("KZOO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = b"some text\n" * 100
    file = fetch.File("set", "a.txt", f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt.gz").write_bytes(gzip.compress(content))
    assert published(file) == content
    (tmp_path / "set" / "a.txt").write_bytes(content)
    assert published(file) == content
    (tmp_path / "set" / "a.txt").write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"a.txt is truncated"):
        published(file)
    (tmp_path / "set" / "a.txt").unlink()
    (tmp_path / "set" / "a.txt.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"KZOO_DATA_DIR"):
        published(file)


def test_a_text_of_your_own_is_read_whatever_its_line_ends(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffOne\r\ntwo\nthree é\n".encode())
    assert read_text(path) == "One\ntwo\nthree é\n"
    assert list(read_lines(path)) == ["One", "two", "three é"]
    corpus = load_corpus(path, validation=0.25)
    assert corpus.train + corpus.validation == read_text(path) and corpus.name == "mine"
    with pytest.raises(ValueError, match=r"both sides. Received: validation=1"):
        load_corpus(path, validation=1)


def test_bytes_that_are_not_utf8_are_told_with_their_place(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"abc\nd" + "é".encode("latin-1") + b"f\n")
    for read in (read_text, lambda path: list(read_lines(path)), load_corpus):
        with pytest.raises(ValueError, match=r"latin.txt is not UTF-8: .* at byte 5.*Received: byte 0xe9"):
            read(path)


def test_empty_and_missing_files_are_told(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"is empty.*Received: 0 bytes"):
        read_text(tmp_path / "empty.txt")
    for read in (read_text, lambda path: list(read_lines(path))):
        with pytest.raises(FileNotFoundError, match=r"no such text file"):
            read(tmp_path / "none.txt")


def test_a_line_of_a_hundred_megabytes_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "line.txt"
    with open(path, "wb") as out:
        out.write(b"short\n")
        out.truncate(100 << 20)
    tracemalloc.start()
    lines = read_lines(path)
    assert next(lines) == "short"
    with pytest.raises(ValueError, match=r"line 2 of .* is longer than 1,048,576 bytes.*longest"):
        next(lines)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    (tmp_path / "just.txt").write_bytes(b"12345\r\n123456\n")
    assert list(read_lines(tmp_path / "just.txt", longest=6)) == ["12345", "123456"]
    with pytest.raises(ValueError, match=r"line 2 of"):
        list(read_lines(tmp_path / "just.txt", longest=5))


def test_conll_is_read_and_its_errors_name_the_line():
    sentences, tags = read_conll("EU\tB-ORG\nrejects\tO\n\n \nPeter\tB-PER")
    assert sentences == (("EU", "rejects"), ("Peter",)) and tags == (("B-ORG", "O"), ("B-PER",))
    with pytest.raises(ValueError, match=r"Received: 'EU B-ORG' at line 2"):
        read_conll("a\tO\nEU B-ORG")
    with pytest.raises(ValueError, match=r"must be a sentence"):
        read_conll("\n\n")


def test_squad_is_checked_against_its_paragraphs():
    entry = {"id": "1", "question": "Who?", "answers": [{"answer_start": 4, "text": "you"}]}
    articles = {"data": [{"paragraphs": [{"context": "Not you.", "qas": [entry]}]}]}
    assert read_squad(json.dumps(articles))[0].answers == ((4, "you"),)
    entry["answers"][0]["answer_start"] = 3
    with pytest.raises(ValueError, match=r"'you' at 3 of question 1"):
        read_squad(json.dumps(articles))
    for text in ("{", "{}", '{"data": [1]}'):
        with pytest.raises(ValueError, match=r"not in SQuAD's format"):
            read_squad(text)
