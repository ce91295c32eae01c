"""Running text to train language models on, parted so that what is held out comes after what is learnt from."""

from dataclasses import dataclass
from pathlib import Path

from kzoo.data.fetch import File
from kzoo.data.names import FILE as NAMES
from kzoo.data.names import split_names
from kzoo.data.reading import github, published_text, read_text

SHAKESPEARE = File(
    *("tinyshakespeare", "input.txt"),
    *("sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394),
    (github("karpathy/char-rnn", "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e", "data/tinyshakespeare"),),
)
REPUBLIC = File(
    *("republic", "republic_clean.txt"),
    *("sha256:1d6777487cecb6389fa65cfe3c26048811ca1ef49f34f781244f1d14e30cb31f", 1_195_637),
    (github("jbrownlee/Datasets", "d20fcb6402ae34e653d4513b00f39257bb37ed7f"),),
)
START = "*** START OF THIS PROJECT GUTENBERG EBOOK THE REPUBLIC ***"


@dataclass(frozen=True)
class Corpus:
    """A text in parts.

    Attributes:
        name: the data set's name, or the file's.
        train, validation, test: the parts as strings; `test` is empty where there is none.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    train: str
    validation: str
    test: str
    source: str
    licence: str


def load_corpus(path, *, validation=0.1):
    """A UTF-8 text file of your own as a `Corpus`: its last tenth is held out.

    Args:
        path: the file.
        validation: share of the characters to hold out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is empty or not UTF-8, or the share leaves nothing on one side.
    """
    return Corpus(Path(path).stem, *cut(read_text(path), validation), "", str(path), "yours")


def cut(text, validation):
    """The beginning and the last `validation` share of a text, parted at a character."""
    end = int(len(text) * (1 - validation))
    if not 0 < end < len(text):
        raise ValueError(
            f"the part to hold out must leave some of {len(text):,} characters on both sides. "
            f"Received: validation={validation!r}"
        )
    return text[:end], text[end:]


def _shakespeare(validation=0.1):
    return _corpus("tinyshakespeare", *cut(published_text(SHAKESPEARE), validation))


def _republic(validation=0.1):
    book = published_text(REPUBLIC).partition(START)[2].strip() + "\n"
    return _corpus("republic", *cut(book, validation))


def _names(seed=42):
    parts = split_names(published_text(NAMES).split(), seed)
    return _corpus("names", *("\n".join(part) + "\n" for part in parts))


def _corpus(name, train, validation, test=""):
    return Corpus(name, train, validation, test, TABLE[name]["source"], TABLE[name]["licence"])


TABLE = {
    "names": {
        "line": "32,033 first names, one on each line; parts by seed, 80 : 10 : 10",
        "load": _names,
        "source": "ssa.gov (2018); https://github.com/karpathy/makemore",
        "licence": "MIT",
    },
    "tinyshakespeare": {
        "line": "1,115,394 characters of Shakespeare's plays; the last tenth held out, as nanoGPT does",
        "load": _shakespeare,
        "source": "https://github.com/karpathy/char-rnn",
        "licence": "public domain; not stated for the file",
    },
    "republic": {
        "line": "Plato's Republic in Jowett's translation, 1.2 million characters; the last tenth held out",
        "load": _republic,
        "source": "Project Gutenberg 1497; https://github.com/jbrownlee/Datasets",
        "licence": "public domain; Project Gutenberg's terms for the file",
    },
}
