"""Questions whose answers are pieces of a paragraph, in the format of SQuAD."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.fetch import File
from kzoo.data.reading import github, published_text, read_text

XQUAD = File(
    *("xquad", "xquad.en.json"),
    *("sha256:e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29", 609_383),
    (github("deepmind/xquad", "60cac411649156efb6aab9dd4c9cde787a2c0345"),),
)


@dataclass(frozen=True)
class Question:
    """One question on a paragraph.

    Attributes:
        id: its name in the data set.
        article: the number of the article that the paragraph is from.
        context: the paragraph.
        question: what is asked.
        answers: pairs of an answer's first character in the context, and its text.
    """

    id: str
    article: int
    context: str
    question: str
    answers: tuple


@dataclass(frozen=True)
class QuestionData:
    """A data set of questions, not parted: `folds` parts it by article.

    Attributes:
        name: the data set's name.
        questions: a tuple of `Question`.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    questions: tuple
    source: str
    licence: str

    def folds(self, count, seed=0):
        """Pairs of questions to train on and to test on, `count` of them: each article is tested on once.

        Raises:
            ValueError: if there are fewer than two folds, or more than articles.
        """
        articles = sorted({question.article for question in self.questions})
        if not 2 <= count <= len(articles):
            raise ValueError(
                f"there can be 2 to {len(articles)} folds, as many as articles. Received: count={count}"
            )
        order = np.random.default_rng(seed).permutation(articles)
        parted = []
        for fold in range(count):
            held = {int(article) for article in order[fold::count]}
            sides = ([q for q in self.questions if (q.article in held) == test] for test in (False, True))
            parted.append(tuple(map(tuple, sides)))
        return parted


def read_squad(text, name="the file"):
    """The questions of a JSON text in SQuAD's format, a tuple of `Question`.

    Raises:
        ValueError: if it is not in that format, or an answer does not stand where it is said to.
    """
    try:
        found = [
            Question(
                str(entry["id"]),
                number,
                paragraph["context"],
                entry["question"],
                tuple((int(answer["answer_start"]), answer["text"]) for answer in entry["answers"]),
            )
            for number, article in enumerate(json.loads(text)["data"])
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{name} is not in SQuAD's format. Received: {type(error).__name__} {error}"
        ) from error
    for question in found:
        for start, answer in question.answers:
            if question.context[start : start + len(answer)] != answer:
                raise ValueError(
                    f"an answer must stand in its paragraph. Received: {answer!r} at {start} of question {question.id}"
                )
    return tuple(found)


def load_questions(path):
    """A file of your own in SQuAD's format as a `QuestionData`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another format.
    """
    return QuestionData(Path(path).stem, read_squad(read_text(path), str(path)), str(path), "yours")


def _xquad():
    questions = read_squad(published_text(XQUAD), XQUAD.name)
    return QuestionData("xquad", questions, TABLE["xquad"]["source"], TABLE["xquad"]["licence"])


TABLE = {
    "xquad": {
        "line": "1,190 questions on 240 paragraphs of 48 articles, in English; folds by article",
        "load": _xquad,
        "source": "Artetxe et al. (2020), arXiv:1910.11856; https://github.com/deepmind/xquad",
        "licence": "CC BY-SA 4.0",
    },
}
