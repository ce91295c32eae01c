"""Named entities: sentences as tokens, each with a tag, in the format of CoNLL."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.fetch import File
from kzoo.data.reading import github, published_text, read_text

WNUT17 = github("leondz/emerging_entities_17", "e52a2d2a71ac1a051ca2d532eef28653c5c02603")
FILES = {
    part: File("wnut17", name, f"sha256:{digest}", size, (WNUT17,))
    for part, name, digest, size in (
        (
            *("train", "wnut17train.conll"),
            *("731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5", 493_781),
        ),
        (
            *("validation", "emerging.dev.conll"),
            *("e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8", 114_749),
        ),
        (
            *("test", "emerging.test.annotated"),
            *("2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0", 192_425),
        ),
    )
}


@dataclass(frozen=True)
class EntityData:
    """A data set of tagged sentences in three parts.

    Attributes:
        name: the data set's name.
        labels: the tags: `"O"` first, then `"B-…"` and `"I-…"` of each kind of entity. A tag's number is its place.
        train, validation, test: pairs of tuples: sentences as tuples of tokens, and their tags in the same places.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    labels: tuple
    train: tuple
    validation: tuple
    test: tuple
    source: str
    licence: str


def read_conll(text, name="the text"):
    """Sentences and tags of a text with one token and, after a tab, its tag on each line, and a blank line between.

    Returns:
        Two tuples, of tuples of tokens and of tuples of tags.

    Raises:
        ValueError: for a line with another number of columns, or no sentence at all.
    """
    sentences, tags = [[]], [[]]
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if sentences[-1]:
                sentences.append([])
                tags.append([])
            continue
        token, *rest = line.rstrip().split("\t")
        if len(rest) != 1 or not token:
            raise ValueError(
                f"a line has a token, a tab and a tag. Received: {line!r} at line {number:,} of {name}"
            )
        sentences[-1].append(token)
        tags[-1].append(rest[0])
    if not sentences[-1]:
        sentences, tags = sentences[:-1], tags[:-1]
    if not sentences:
        raise ValueError(f"there must be a sentence. Received: {name} without one")
    return tuple(map(tuple, sentences)), tuple(map(tuple, tags))


def load_entities(path, *, seed=0):
    """A file of your own in the format of CoNLL as an `EntityData`: four fifths to train on, two tenths held out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another format, or has fewer than ten sentences.
    """
    sentences, tags = read_conll(read_text(path), str(path))
    if len(sentences) < 10:
        raise ValueError(f"{path} must have ten sentences at least. Received: {len(sentences)}")
    order, tenth = np.random.default_rng(seed).permutation(len(sentences)), len(sentences) // 10
    chosen = (order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth])
    parts = [tuple(tuple(side[i] for i in np.sort(part)) for side in (sentences, tags)) for part in chosen]
    return EntityData(Path(path).stem, _labels(parts), *parts, str(path), "yours")


def _labels(parts):
    """The tags of all parts: none first, then each kind's beginning and inside."""
    kinds = sorted({tag[2:] for _, tags in parts for sentence in tags for tag in sentence if tag != "O"})
    return ("O", *(f"{place}-{kind}" for kind in kinds for place in "BI"))


def _wnut17():
    parts = [read_conll(published_text(file), file.name) for file in FILES.values()]
    return EntityData("wnut17", _labels(parts), *parts, TABLE["wnut17"]["source"], TABLE["wnut17"]["licence"])


TABLE = {
    "wnut17": {
        "line": "5,690 sentences from the web with 6 kinds of new and rare entities; parts as published",
        "load": _wnut17,
        "source": "Derczynski et al. (2017), W17-4418; https://github.com/leondz/emerging_entities_17",
        "licence": "CC BY 4.0",
    },
}
