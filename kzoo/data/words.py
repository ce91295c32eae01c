"""What people said of words: how alike pairs of them are, and which fourth word goes with three."""

import functools
from dataclasses import dataclass

from kzoo.data.fetch import File
from kzoo.data.reading import github, published_text

PAIRS = github("mfaruqui/eval-word-vectors", "94b3dd9fdbac7ed08dbee7179cd5ee464acf0594", "data/word-sim")
SETS = {  # name: file, SHA-256, bytes, what it is, who made it
    "ws353": (
        *("EN-WS-353-ALL.txt", "ce12919b240af45bdf46d243601eaca2b6212b159b5e7e9b435ee7ee40c5619c", 7_405),
        *("353 pairs of words, 0 to 10: alike or related", "Finkelstein et al. (2001), WordSim-353"),
    ),
    "ws353_similarity": (
        *("EN-WS-353-SIM.txt", "f1da938998863c94e53f72f984a5c6e215f0b46c323aae8f0f4930703a339107", 4_002),
        *("203 of WordSim's pairs: how alike", "Agirre et al. (2009)"),
    ),
    "ws353_relatedness": (
        *("EN-WS-353-REL.txt", "66a7c88100624d0a391605ff61ce84e11d11ee620d51ec0298da49592838f8fa", 5_134),
        *("252 of WordSim's pairs: how related", "Agirre et al. (2009)"),
    ),
    "simlex999": (
        *("EN-SIMLEX-999.txt", "405394ffb7d25f6d0e3c041f87c9f27d29dc6b047506769953e85c4523b11685", 18_024),
        *("999 pairs of words, 0 to 10: alike, not merely related", "Hill et al. (2015), arXiv:1408.3456"),
    ),
    "rg65": (
        *("EN-RG-65.txt", "c243f3a91c3f5d8cf67f21a67f6fb80bde8b6bb060851a6a48e6f2d68ec98c9f", 1_210),
        *("65 pairs of nouns, 0 to 4", "Rubenstein and Goodenough (1965)"),
    ),
    "mc30": (
        *("EN-MC-30.txt", "33ee05911496ff83d95cac351d0746c6f63b9181b605cb7d307f4daa8864511b", 543),
        *("30 of those pairs, judged again", "Miller and Charles (1991)"),
    ),
    "men": (
        *("EN-MEN-TR-3k.txt", "888b13580faa362c7b11da0a670258cf1b1eb4bf0ecbcd418918729a3bd3f43a", 53_593),
        *("3,000 pairs of words of picture captions, 0 to 50", "Bruni et al. (2014)"),
    ),
    "mturk771": (
        *("EN-MTurk-771.txt", "04dc297c9e86b6fa7cf8ef0e4ba2e2c8d3399ec68d92fb7a53c0b4aae27198b5", 19_628),
        *("771 pairs of nouns, 1 to 5: how related", "Halawi et al. (2012)"),
    ),
}
QUESTIONS = File(
    *("wordsim", "questions-words.txt"),
    *("sha256:8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36", 603_955),
    ("https://raw.githubusercontent.com/tmikolov/word2vec/master",),
)


@dataclass(frozen=True)
class WordPairs:
    """Pairs of words with the mean of what people said.

    Attributes:
        name: the data set's name.
        pairs: a tuple of pairs of words.
        scores: a tuple of numbers; only their order means anything from one set to another.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    pairs: tuple
    scores: tuple
    source: str
    licence: str


@dataclass(frozen=True)
class Analogies:
    """Questions of the kind: Athens is to Greece as Baghdad is to what?

    Attributes:
        name: the data set's name.
        sections: section name to a tuple of four words each, of which the fourth is the answer.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    sections: dict
    source: str
    licence: str


def _pairs(name):
    filename, digest, size, *_ = SETS[name]
    file = File("wordsim", filename, f"sha256:{digest}", size, (PAIRS,))
    rows = [line.split() for line in published_text(file).splitlines() if line.strip()]
    pairs, scores = tuple((a, b) for a, b, _ in rows), tuple(float(score) for _, _, score in rows)
    return WordPairs(name, pairs, scores, TABLE[name]["source"], TABLE[name]["licence"])


def _analogies():
    sections = {}
    for line in published_text(QUESTIONS).splitlines():
        if line.startswith(":"):
            section = sections.setdefault(line[1:].strip(), [])
        elif line.strip():
            section.append(tuple(line.split()))
    entry = TABLE["analogies"]
    return Analogies(
        "analogies", {k: tuple(v) for k, v in sections.items()}, entry["source"], entry["licence"]
    )


TABLE = {
    name: {
        "line": line,
        "load": functools.partial(_pairs, name),
        "source": f"{source}; https://github.com/mfaruqui/eval-word-vectors",
        "licence": "MIT (of the repository)",
    }
    for name, (_, _, _, line, source) in SETS.items()
} | {
    "analogies": {
        "line": "19,544 questions of four words in 14 sections, of facts and of grammar",
        "load": _analogies,
        "source": "Mikolov et al. (2013), arXiv:1301.3781; https://github.com/tmikolov/word2vec",
        "licence": "Apache-2.0 (of word2vec)",
    },
}
