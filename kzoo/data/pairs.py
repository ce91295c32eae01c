"""Pairs of texts that say the same in two languages."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kzoo.data.fetch import File
from kzoo.data.reading import github, published_text, read_lines
from kzoo.engine import unknown

MULTI30K = github("multi30k/dataset", "a3d2e0d26b56f3846f66a952536ffed4e401d05a", "data/task1/raw")
TATOEBA = File(  # published inside an archive that changes: only in a data folder
    *("eng_fra", "fra.txt"),
    *("sha256:0bb85dbaa1c896844649094d7eaf2e34bee34e84fe362b26ce7e8f2e12aae104", 11_669_748),
)
CONTENTS = {  # SHA-256 and bytes of the unpacked files
    "train.en": ("460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6", 1_801_238),
    "train.fr": ("5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d", 2_111_303),
    "train.de": ("2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72", 2_110_398),
    "val.en": ("1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227", 63_297),
    "val.fr": ("5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc", 73_924),
    "val.de": ("660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660", 75_981),
    "test_2016_flickr.en": ("399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182", 62_076),
    "test_2016_flickr.fr": ("cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6", 72_261),
    "test_2016_flickr.de": ("4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16", 70_649),
}
LANGUAGES = ("en", "fr", "de")


@dataclass(frozen=True)
class PairData:
    """A parallel corpus in three parts.

    Attributes:
        name: the data set's name.
        languages: of the sources and of the targets, as codes.
        train, validation, test: pairs of tuples of texts: the sources, and the targets in the same order.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    languages: tuple
    train: tuple
    validation: tuple
    test: tuple
    source: str
    licence: str

    def take(self, samples, seed=0):
        """The same data with at most `samples` pairs in each part, drawn by the seed.

        Args:
            samples: a number for all parts, or one by name of part; `None` leaves a part as it is.
            seed: decides which pairs are kept. They keep their order.
        """
        names = ("train", "validation", "test")
        limits = samples if isinstance(samples, dict) else dict.fromkeys(names, samples)
        parts = {}
        for name, limit in limits.items():
            if name not in names:
                raise unknown("part", name, names)
            part = getattr(self, name)
            if limit is not None and limit < len(part[0]):
                chosen = np.sort(np.random.default_rng(seed).permutation(len(part[0]))[:limit])
                parts[name] = tuple(tuple(side[i] for i in chosen) for side in part)
        return replace(self, **parts)


def load_pairs(path, *, seed=0):
    """A text file of your own as a `PairData`: on each line a text, a tab and its translation.

    Four fifths are to be trained on, a tenth is for validation and a tenth for test.

    Args:
        path: the file, UTF-8.
        seed: decides the parts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is no such pair, or fewer than ten of them. The message names the line.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        sides = tuple(side.strip() for side in line.split("\t"))
        if not line.strip():
            continue
        if len(sides) != 2 or not all(sides):
            raise ValueError(
                f"line {number:,} of {path} must be a text, a tab and its translation. Received: {line[:60]!r}"
            )
        rows.append(sides)
    if len(rows) < 10:
        raise ValueError(f"{path} must have ten pairs at least. Received: {len(rows)}")
    order = np.random.default_rng(seed).permutation(len(rows))
    tenth = len(rows) // 10
    parts = (order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth])
    train, validation, test = (tuple(zip(*(rows[i] for i in np.sort(part)))) for part in parts)
    return PairData(Path(path).stem, ("source", "target"), train, validation, test, str(path), "yours")


def _multi30k(languages=("en", "fr")):
    for language in languages:
        if language not in LANGUAGES:
            raise unknown("language of multi30k", language, LANGUAGES)
    if len(languages) != 2:
        raise ValueError(
            f"a pair has two languages, the source and the target. Received: languages={languages}"
        )

    def lines(part, language):
        digest, size = CONTENTS[f"{part}.{language}"]
        file = File("multi30k", f"{part}.{language}.gz", f"sha256:{digest}", size, (MULTI30K,), packed=True)
        return tuple(line.strip() for line in published_text(file).rstrip("\n").split("\n"))

    parts = [tuple(lines(part, one) for one in languages) for part in ("train", "val", "test_2016_flickr")]
    return _data("multi30k", tuple(languages), *parts)


def _tatoeba(held_out=1000, seed=0):
    """Sentences are held out with all their translations, so that none that is tested was trained on."""
    rows = [line.split("\t") for line in published_text(TATOEBA).rstrip("\n").split("\n")]
    sentences = list(dict.fromkeys(english for english, _ in rows))
    if not 0 < 2 * held_out < len(sentences):
        raise ValueError(
            f"held_out must leave some of {len(sentences):,} sentences. Received: held_out={held_out}"
        )
    order = np.random.default_rng(seed).permutation(len(sentences))
    part_of = {sentences[i]: 1 if place < held_out else 2 for place, i in enumerate(order[: 2 * held_out])}
    parts = ([], [], [])
    for english, french in rows:
        parts[part_of.get(english, 0)].append((english, french))
    return _data("tatoeba", ("en", "fr"), *(tuple(zip(*part)) for part in parts))


def _data(name, languages, train, validation, test):
    return PairData(name, languages, train, validation, test, TABLE[name]["source"], TABLE[name]["licence"])


TABLE = {
    "multi30k": {
        "line": "31,014 descriptions of pictures in English, French and German; parts as published, test 2016",
        "load": _multi30k,
        "source": "Elliott et al. (2016), arXiv:1605.00459; https://github.com/multi30k/dataset",
        "licence": "not stated; non-commercial research and education, after Flickr30K",
    },
    "tatoeba": {
        "line": "167,130 pairs of English and French sentences; 2,000 English ones held out; from a data folder only",
        "load": _tatoeba,
        "source": "https://tatoeba.org by way of http://www.manythings.org/anki (2019-04-07)",
        "licence": "CC BY 2.0",
    },
}
