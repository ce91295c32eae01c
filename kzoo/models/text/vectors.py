"""Word vectors as numbers: neighbours, analogies, agreement with what people say of words.

Shapes: v words, d dim.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kzoo.engine import require
from kzoo.models.text import vector_files


class Agreement(NamedTuple):
    """Spearman's correlation with people, of how many pairs of words, of how many in all."""

    correlation: float
    covered: int
    pairs: int


class Answers(NamedTuple):
    """How many analogies were answered rightly, of how many whose four words are known, of how many in all."""

    right: int
    covered: int
    questions: int


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words, and a vector for each.

    ```python
    vectors = WordVectors.load("glove.6B.50d.txt")
    vectors.nearest("river")
    vectors.analogy("man", "king", "woman")
    vectors.agreement(kzoo.data.load_text("ws353"))
    ```

    Args:
        words: v of them, each once, the most frequent first.
        vectors: float32 `(v, d)`.

    Raises:
        ValueError: if there is not one vector for each, or a word comes twice.
    """

    words: tuple
    vectors: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "vectors", np.ascontiguousarray(self.vectors, "float32"))
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words):
            raise ValueError(
                f"there must be a vector for each word. Received: {len(self.words)} words, vectors of shape "
                f"{self.vectors.shape}"
            )
        if len(self.places) < len(self.words):
            twice = next(word for i, word in enumerate(self.words) if self.places[word] != i)
            raise ValueError(f"each word may come once. Received: {twice!r} twice")

    @functools.cached_property
    def places(self):
        """Word to its row."""
        return {word: i for i, word in enumerate(self.words)}

    @functools.cached_property
    def units(self):
        """The vectors at length 1, `(v, d)`; a vector of zeros stays as it is."""
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return self.vectors / np.where(lengths > 0, lengths, 1.0)

    @property
    def dim(self):
        """d."""
        return self.vectors.shape[1]

    def __len__(self):
        return len(self.words)

    def __contains__(self, word):
        return word in self.places

    def __getitem__(self, word):
        return self.vectors[self._place(word)]

    def similarity(self, first, second):
        """The cosine of two words' vectors."""
        a, b = (self.units[self._place(word)] for word in (first, second))
        return float(a @ b)

    def nearest(self, word, count=10):
        """The `count` words of the most similar vectors: pairs of a word and a cosine, the nearest first."""
        place = self._place(word)
        return self._best(self.units @ self.units[place], {place}, count)

    def analogy(self, a, b, c, count=1):
        """What is to `c` as `b` is to `a`: the words nearest to `b - a + c`, none of the three among them.

        3CosAdd of Mikolov et al. (2013), of vectors at length 1.
        """
        places = [self._place(word) for word in (a, b, c)]
        x, y, z = self.units[places]
        wanted = y - x + z
        return self._best(self.units @ (wanted / np.linalg.norm(wanted)), set(places), count)

    def agreement(self, pairs, lower=True):
        """How well cosines agree with people: an `Agreement` of Spearman's correlation over the pairs that are known.

        Args:
            pairs: a `kzoo.data.words.WordPairs`.
            lower: whether the vectors are of words in lower case.

        Raises:
            ImportError: without SciPy.
        """
        known, ours = [], []
        for score, (a, b) in zip(pairs.scores, pairs.pairs):
            a, b = (a.lower(), b.lower()) if lower else (a, b)
            if a in self and b in self:
                known.append(score)
                ours.append(self.similarity(a, b))
        if len(set(known)) < 2 or len(set(ours)) < 2:
            return Agreement(float("nan"), len(known), len(pairs.pairs))
        found = require("scipy.stats", "recipes").spearmanr(known, ours)
        return Agreement(float(found.statistic), len(known), len(pairs.pairs))

    def answers(self, analogies, lower=True):
        """How many analogies 3CosAdd answers: section name to `Answers`.

        Args:
            analogies: a `kzoo.data.words.Analogies`.
            lower: whether the vectors are of words in lower case.
        """
        found = {}
        for section, questions in analogies.sections.items():
            asked = [tuple(word.lower() for word in four) if lower else four for four in questions]
            rows = np.array(
                [[self.places[w] for w in four] for four in asked if all(w in self for w in four)], int
            )
            right = sum(self._right(rows[i : i + 256]) for i in range(0, len(rows), 256))
            found[section] = Answers(right, len(rows), len(questions))
        return found

    def _right(self, rows):
        a, b, c = (self.units[rows[:, i]] for i in range(3))
        scores = (b - a + c) @ self.units.T
        np.put_along_axis(scores, rows[:, :3], -np.inf, axis=1)
        return int(np.sum(scores.argmax(1) == rows[:, 3]))

    def rows(self, words, seed=0):
        """The vectors of a vocabulary, `(words, d)`, and how many of its words have one.

        Words without one get a random vector as long as the others are on average.
        """
        generator = np.random.default_rng(seed)
        deviation = float(np.sqrt(np.mean(self.vectors**2)))
        table = generator.normal(scale=deviation, size=(len(words), self.dim)).astype("float32")
        known = [i for i, word in enumerate(words) if word in self]
        table[known] = self.vectors[[self.places[words[i]] for i in known]]
        return table, len(known)

    def save(self, path, layout="word2vec"):
        """Writes a file in one of `vector_files.LAYOUTS`."""
        vector_files.write(path, self.words, self.vectors, layout)

    @classmethod
    def load(cls, path, layout=None, most=None):
        """Reads a file of word2vec, binary or text, or of GloVe, also packed by gzip.

        Args:
            path: the file.
            layout: one of `vector_files.LAYOUTS`; by default as its name and its first line look.
            most: how many words to read at most.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is truncated or of another layout.
        """
        return cls(*vector_files.read(path, layout, most))

    def _place(self, word):
        if word not in self.places:
            alike = [one for one in self.words if one[:3] == str(word)[:3]][:5]
            near = f", only {', '.join(alike)}" if alike else ""
            raise ValueError(f"there is no vector of that word{near}. Received: {word!r}")
        return self.places[word]

    def _best(self, scores, without, count):
        order = np.argsort(-scores, kind="stable")[: count + len(without)]
        return [(self.words[i], float(scores[i])) for i in order if i not in without][:count]
