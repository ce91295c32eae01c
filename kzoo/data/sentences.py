"""Text sets as sentences of lower-case words: what word vectors are learnt from."""

import re
from pathlib import Path

from kzoo.data.corpora import Corpus
from kzoo.data.instructions import InstructionData
from kzoo.data.pairs import PairData
from kzoo.data.questions import QuestionData
from kzoo.data.reading import read_text
from kzoo.data.text import TextData
from kzoo.data.text_sets import TABLE, load_text
from kzoo.engine import unknown

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
# Those of running English; the others are lists of names and words, or tokens.
ENGLISH = (
    *("tinyshakespeare", "republic", "rt_polarity", "ag_news", "multi30k", "tatoeba"),
    *("xquad", "instructions", "alpaca_demo"),
)


def words_of(text):
    """The words of a text in lower case: letters, and apostrophes between letters."""
    return [word.replace("’", "'") for word in WORD.findall(text.lower())]


def sentences(name):
    """The sentences of an English text set, each once, as lists of words; those of a single word are left out.

    All parts of a set are taken: what is held out of it is no test of word vectors. Of pairs it is the English side.

    Args:
        name: one of `ENGLISH`.

    Raises:
        ValueError: for another name.
    """
    made = (words_of(sentence) for sentence in written(name))
    return [words for words in made if len(words) > 1]


def written(name):
    """The sentences of an English text set, or of a text file of your own, as they are written, each once.

    Args:
        name: one of `ENGLISH`, or a UTF-8 file.

    Raises:
        ValueError: for another name.
    """
    if Path(name).is_file():
        texts = [read_text(name)]
    elif name in ENGLISH:
        texts = _texts(load_text(name))
    else:
        raise unknown("English text set", name, [known for known in TABLE if known in ENGLISH])
    found = dict.fromkeys(piece.strip() for text in texts for piece in END.split(text))
    return [sentence for sentence in found if sentence]


def _texts(data):
    """Every text of a set, whatever its kind."""
    if isinstance(data, QuestionData):
        for question in data.questions:
            yield question.context
            yield question.question
        return
    for part in (data.train, data.validation, data.test):
        if isinstance(data, Corpus):
            yield part
        elif isinstance(data, TextData):
            yield from part[0]
        elif isinstance(data, PairData):
            yield from part[data.languages.index("en")]
        elif isinstance(data, InstructionData):
            for example in part:
                yield from (example.instruction, example.input, example.output)
