"""32,033 first names, the data set of Andrej Karpathy's makemore."""

from pathlib import Path

import numpy as np

from kzoo.data import fetch

ALPHABET = ".abcdefghijklmnopqrstuvwxyz"  # the dot begins and ends a name

FILE = fetch.File(
    "names",
    "names.txt",
    "sha256:0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    228_145,
    ("https://raw.githubusercontent.com/karpathy/makemore/master",),
)


def load_names(path=None):
    """All names, in lower case, in the order of the file: the most frequent first (ssa.gov, 2018; MIT licence).

    Args:
        path: a text file of other names or words, one on each line.
    """
    text = (
        fetch.read(FILE).decode("ascii") if path is None else Path(path).read_text(encoding="utf-8").lower()
    )
    return tuple(text.split())


def split_names(names, seed=42):
    """Shuffles names and parts them: 80 % to train on, 10 % to validate and 10 % to test.

    Args:
        names: a sequence of at least ten.
        seed: decides the order, with NumPy's generator.

    Returns:
        Three tuples of names.
    """
    if len(names) < 10:
        raise ValueError(f"there must be at least ten names to part. Received: {len(names)} names")
    order = np.random.default_rng(seed).permutation(len(names))
    parts = np.split(order, [int(0.8 * len(names)), int(0.9 * len(names))])
    return tuple(tuple(names[i] for i in part) for part in parts)


def contexts(names, length):
    """Every letter of every name, and the letters before it.

    Args:
        names: of the letters a to z.
        length: how many letters before; a name begins after so many dots.

    Returns:
        Indices into `ALPHABET`: the contexts, int64 `(n, length)`, and the letters that follow, `(n,)`. The end of
        each name is a letter too, a dot.
    """
    place = {letter: i for i, letter in enumerate(ALPHABET)}
    rows = []
    for name in names:
        if unknown := set(name) - set(ALPHABET[1:]):
            raise ValueError(f"names are made of the letters a to z. Received: {name!r}, {sorted(unknown)}")
        indices = [0] * length + [place[letter] for letter in name] + [0]
        rows += [indices[i : i + length + 1] for i in range(len(name) + 1)]
    table = np.array(rows, "int64").reshape(-1, length + 1)
    return table[:, :-1], table[:, -1]
