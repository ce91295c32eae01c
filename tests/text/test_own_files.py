"""Text sets from files of one's own: read and parted, or refused with what is wrong."""

import json
from pathlib import Path

import pytest

from kzoo.data.entities import load_entities
from kzoo.data.instructions import load_instructions
from kzoo.data.pairs import load_pairs
from kzoo.data.questions import load_questions

pytestmark = pytest.mark.once
HERE = Path(__file__).parent


def test_every_example_is_in_one_part():
    pairs = load_pairs(HERE / "few_pairs.tsv")
    assert [len(side) for part in (pairs.train, pairs.validation, pairs.test) for side in part] == [
        16
    ] * 2 + [2] * 4
    rows = {pair for part in (pairs.train, pairs.validation, pairs.test) for pair in zip(*part)}
    assert rows == {tuple(line.split("\t")) for line in (HERE / "few_pairs.tsv").read_text().splitlines()}
    assert load_pairs(HERE / "few_pairs.tsv", seed=1).test != pairs.test
    entities = load_entities(HERE / "few_entities.conll")
    assert entities.labels == ("O", "B-location", "I-location", "B-person", "I-person")
    assert [len(part[0]) for part in (entities.train, entities.validation, entities.test)] == [13, 1, 1]
    assert all(len(words) == len(tags) for words, tags in zip(*entities.train))
    asked = load_questions(HERE / "few_questions.json")
    assert len(asked.questions) == 8 and len(asked.folds(4)) == 4
    told = load_instructions(HERE / "few_instructions.json")
    assert [len(part) for part in (told.train, told.validation, told.test)] == [17, 1, 2]
    assert told.train[0].input == "dog" and told.train[1].input == ""


@pytest.mark.parametrize(
    ("load", "text", "message"),
    [
        (
            load_pairs,
            "a\tb\na b c\n",
            r"line 2 of .* must be a text, a tab and its translation\. Received: 'a b c'",
        ),
        (load_pairs, "a\t \n", r"line 1 of .* must be a text, a tab and its translation"),
        (load_pairs, "a\tb\n" * 9, r"ten pairs at least\. Received: 9"),
        (load_entities, "a\tO\n", r"ten sentences at least\. Received: 1"),
        (load_entities, "a O\n", r"a token, a tab and a tag\. Received: 'a O' at line 1"),
        (load_questions, "[]", r"not in SQuAD's format"),
        (
            load_instructions,
            json.dumps([{"input": ""}]),
            r"list of instruction, input and output\. Received: KeyError",
        ),
        (load_instructions, "{", r"list of instruction, input and output\. Received: JSONDecodeError"),
        (load_instructions, json.dumps([{"instruction": "a", "output": "b"}]), r"20 instructions at least"),
    ],
)
def test_files_of_another_format_are_refused(load, text, message, tmp_path):
    (tmp_path / "own.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "own.txt")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.txt")
