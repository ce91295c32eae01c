"""Labelled texts: sentences and articles with a class each."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.fetch import File
from kzoo.data.parts import LabelledData, split
from kzoo.data.reading import github, published, published_text, read_lines

SST2 = github(
    "clairett/pytorch-sentiment-classification", "457ffd83de90a9d6d472d8ffc31bbffe40a8b236", "data/SST2"
)
REVIEWS = github("yoonkim/CNN_sentence", "23e0e1f7355705bb083043fda05c031b15acb38c")
NEWS = github("mhjabreel/CharCnn_Keras", "555590db4219b1243abb1918effd6a7425a2d75f", "data/ag_news_csv")

FILES = {
    "sst2": {
        part: File("sst2", f"{name}.tsv", f"sha256:{digest}", size, (SST2,))
        for part, name, digest, size in (
            ("train", "train", "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920", 720_259),
            ("validation", "dev", "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359", 92_057),
            ("test", "test", "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7", 188_749),
        )
    },
    "rt_polarity": {
        kind: File("rt_polarity", f"rt-polarity.{kind}", f"sha256:{digest}", size, (REVIEWS,))
        for kind, digest, size in (
            ("neg", "4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca", 612_256),
            ("pos", "2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0", 626_139),
        )
    },
    "ag_news": File(
        *("ag_news", "test.csv", "sha256:521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699"),
        *(1_857_427, (NEWS,)),
    ),
}
SENTIMENTS = ("negative", "positive")
TOPICS = ("World", "Sports", "Business", "Sci/Tech")


@dataclass(frozen=True)
class TextData(LabelledData):
    """A data set of labelled texts: its parts' examples are strings in an object array `(n,)`."""


def labelled(texts, y):
    """Texts and classes as a part of a `TextData` holds them."""
    array = np.empty(len(texts), object)
    array[:] = texts
    return array, np.asarray(y, "int64")


def load_labelled(path, *, seed=0):
    """A text file of your own as a `TextData`: on each line a text, a tab and its class.

    Four fifths are to be trained on, a tenth is for validation and a tenth for test, each class in proportion. Classes
    are numbered in the order of the alphabet. A file is read line by line: one of any length needs no more memory than
    its texts.

    Args:
        path: the file, UTF-8.
        seed: decides the parts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line without a text or a class, one that is longer than `reading.LONGEST` or not UTF-8, or
            fewer than two classes. The message names the line.
    """
    texts, names = [], []
    for number, line in enumerate(read_lines(path), 1):
        text, _, name = (part.strip() for part in line.rpartition("\t"))
        if not line.strip():
            continue
        if not (text and name):
            raise ValueError(
                f"line {number:,} of {path} must be a text, a tab and a class, and neither of them empty. "
                f"Received: {line[:60]!r}"
            )
        texts.append(text)
        names.append(name)
    labels = sorted(set(names))
    if len(labels) < 2:
        raise ValueError(f"{path} must have texts of two classes at least. Received: classes {labels}")
    parts = _by_seed(texts, [labels.index(name) for name in names], seed)
    return TextData(Path(path).stem, tuple(labels), *parts, str(path), "yours")


def _data(name, labels, train, validation, test):
    return TextData(name, labels, train, validation, test, TABLE[name]["source"], TABLE[name]["licence"])


def _by_seed(texts, y, seed):
    """Four fifths to train on, a tenth to validate and a tenth to test, each class in proportion."""
    x, y = labelled(texts, y)
    kept, held = split(y, 0.2, seed)
    validation, test = (held[chosen] for chosen in split(y[held], 0.5, seed))
    return [(x[part], y[part]) for part in (kept, validation, test)]


def _sst2():
    parts = []
    for file in FILES["sst2"].values():
        rows = [line.rpartition("\t") for line in published_text(file).splitlines()]
        parts.append(labelled([text for text, _, _ in rows], [int(label) for _, _, label in rows]))
    return _data("sst2", SENTIMENTS, *parts)


def _rt_polarity(seed=0):
    texts, y = [], []
    for label, file in enumerate(FILES["rt_polarity"].values()):
        lines = published(file).decode("latin-1").split("\n")
        sentences = [line.strip() for line in lines if line.strip()]
        texts, y = texts + sentences, y + [label] * len(sentences)
    return _data("rt_polarity", SENTIMENTS, *_by_seed(texts, y, seed))


def _ag_news(seed=0):
    rows = list(csv.reader(io.StringIO(published_text(FILES["ag_news"]))))
    # A backslash stands where a line ended.
    texts = [" ".join(f"{title}. {text}".replace("\\", " ").split()) for _, title, text in rows]
    return _data("ag_news", TOPICS, *_by_seed(texts, [int(row[0]) - 1 for row in rows], seed))


TABLE = {
    "sst2": {
        "line": "9,613 sentences of film reviews, 2 sentiments; parts as published",
        "load": _sst2,
        "source": "Socher et al. (2013), Stanford Sentiment Treebank, sentences alone; "
        "https://github.com/clairett/pytorch-sentiment-classification",
        "licence": "not stated",
    },
    "rt_polarity": {
        "line": "10,662 sentences of film reviews, 2 sentiments; parts by seed, 80 : 10 : 10",
        "load": _rt_polarity,
        "source": "Pang and Lee (2005); https://github.com/yoonkim/CNN_sentence",
        "licence": "not stated",
    },
    "ag_news": {
        "line": "7,600 news articles, 4 topics: the published test part alone, parted by seed, 80 : 10 : 10",
        "load": _ag_news,
        "source": "Zhang et al. (2015), arXiv:1509.01626; https://github.com/mhjabreel/CharCnn_Keras",
        "licence": "research and other non-commercial use",
    },
}
