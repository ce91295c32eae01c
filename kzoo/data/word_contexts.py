"""What word vectors are trained on: words with their neighbours and drawn others, or how often words stand together.

Word 0 is no word: it fills up contexts. A vocabulary's words are numbered from 1.

Shapes: b batch, k words drawn, w window.
"""

import numpy as np

from kzoo.data.batches import Batches


class Words:
    """A vocabulary of whole words, the most frequent first.

    Args:
        sentences: lists of words.
        minimum: how often a word must come.
        most: at most so many words.

    Attributes:
        words: a tuple; word number `i` is `words[i - 1]`.
        counts: how often each comes, int64 `(words,)`.

    Raises:
        ValueError: if no word comes so often.
    """

    def __init__(self, sentences, minimum=5, most=None):
        counts = {}
        for sentence in sentences:
            for word in sentence:
                counts[word] = counts.get(word, 0) + 1
        # Equally frequent ones in the order of the alphabet: the numbers do not depend on the order of the sentences.
        known = sorted((word for word, n in counts.items() if n >= minimum), key=lambda w: (-counts[w], w))
        self.words = tuple(known[:most])
        if not self.words:
            raise ValueError(
                f"some word must come {minimum} times. Received: {len(counts)} words, minimum={minimum}"
            )
        self.counts = np.array([counts[word] for word in self.words])
        self._ids = {word: i for i, word in enumerate(self.words, 1)}

    @property
    def vocabulary_size(self):
        """How many rows an embedding needs: one for each word, and one for none."""
        return len(self.words) + 1

    def encode(self, sentences):
        """Sentences as numbers, a list of int32 `(n,)`; unknown words are left out, as word2vec does."""
        ids = self._ids
        return [np.array([ids[w] for w in sentence if w in ids], "int32") for sentence in sentences]


class WordBatches(Batches):
    """Words, their contexts and words drawn against them, for `skip_gram` and `cbow`.

    Mikolov et al. (2013), arXiv:1310.4546. In every epoch each word is kept with the probability
    `sqrt(t / f) + t / f`, f its share of the text, as word2vec does it (the paper's equation 5 has the first term); the
    window around each word is drawn from 1 to `window`; and `negatives` words are drawn by their counts to the power
    3/4. A drawn word that is the right one does not count: its label is -1.

    A batch is `(x, labels)`, x a dict: for skip-gram `"word"` has the middle word, `(b, 1)`; for CBOW `"around"` the
    words around it, `(b, 2 w)`, filled up with 0. `"candidates"` `(b, 1 + k)` has the word to be found first; `labels`
    are 1 for it and 0 for the others. An epoch has as many batches as the first: what another has more is left out, and
    what it has less is taken twice.

    Args:
        sentences: numbers as `Words.encode` gives them.
        counts: how often each word comes, `(words,)`.
        batch_size: b.
        kind: `"skip_gram"` or `"cbow"`.
        window: w, the farthest neighbour.
        negatives: k.
        subsample: t; 0 keeps every word.
        seed: decides all that is drawn.
    """

    def __init__(
        self,
        sentences,
        counts,
        batch_size,
        *,
        kind="skip_gram",
        window=5,
        negatives=5,
        subsample=1e-3,
        seed=0,
    ):
        if kind not in ("skip_gram", "cbow"):
            raise ValueError(f"kind must be 'skip_gram' or 'cbow'. Received: kind={kind!r}")
        self.text = np.concatenate([*sentences, np.empty(0, "int32")])
        self.sentence = np.repeat(np.arange(len(sentences)), [len(one) for one in sentences])
        share = np.asarray(counts) / max(1, np.sum(counts))
        keep = np.ones(len(share)) if not subsample else np.sqrt(subsample / share) + subsample / share
        self.keep = np.concatenate([[0.0], np.minimum(keep, 1.0)])
        drawn = np.cumsum(np.asarray(counts, "float64") ** 0.75)
        self.drawn = drawn / drawn[-1]
        self.kind, self.window, self.negatives = kind, window, negatives
        self.seed, self._rows = seed, (None, None)
        examples = len(self._epoch(0)[0])
        super().__init__(
            np.zeros(max(examples, batch_size), "int8"), None, batch_size, seed=seed, drop_last=True
        )

    def _epoch(self, epoch):
        """The examples of an epoch in their order: what is given, and the word to be found."""
        known, rows = self._rows
        if known == epoch:
            return rows
        generator = np.random.default_rng([self.seed, epoch])
        kept = generator.random(len(self.text)) < self.keep[self.text]
        text, sentence = self.text[kept], self.sentence[kept]
        reach = generator.integers(1, self.window + 1, len(text))
        found = (
            self._pairs(text, sentence, reach)
            if self.kind == "skip_gram"
            else self._around(text, sentence, reach)
        )
        if not len(found[1]):
            raise ValueError(
                "no word has a neighbour: give longer sentences or a higher subsample. Received: "
                f"{len(self.text):,} words, of which {len(text):,} were kept"
            )
        order = generator.permutation(len(found[1]))
        rows = tuple(array[order] for array in found)
        self._rows = (epoch, rows)
        return rows

    def _pairs(self, text, sentence, reach):
        """Each word with each neighbour in its reach: words `(pairs, 1)` and neighbours `(pairs,)`."""
        middles, others = [], []
        for distance in range(1, self.window + 1):
            same = sentence[distance:] == sentence[:-distance]
            for near, far, reached in (
                (text[:-distance], text[distance:], reach[:-distance]),
                (text[distance:], text[:-distance], reach[distance:]),
            ):
                chosen = same & (reached >= distance)
                middles.append(near[chosen])
                others.append(far[chosen])
        return np.concatenate(middles)[:, None], np.concatenate(others)

    def _around(self, text, sentence, reach):
        """The words around each, `(words, 2 w)`, and that word; those without any are left out."""
        w, n = self.window, len(text)
        around = np.zeros((n, 2 * w), "int32")
        for column, offset in enumerate((*range(-w, 0), *range(1, w + 1))):
            places = np.arange(n) + offset
            inside = (places >= 0) & (places < n) & (reach >= abs(offset))
            places = np.where(inside, places, 0)
            inside &= sentence[places] == sentence
            around[:, column] = np.where(inside, text[places], 0)
        some = around.any(1)
        return around[some], text[some]

    def draw(self, epoch, index):
        given, found = self._epoch(epoch)
        places = np.arange(index * self.batch_size, (index + 1) * self.batch_size) % len(found)
        found = found[places][:, None]
        generator = np.random.default_rng([self.seed, epoch, index])
        others = np.searchsorted(self.drawn, generator.random((len(found), self.negatives)), side="right") + 1
        labels = np.zeros((len(found), 1 + self.negatives), "int32")
        labels[:, 0] = 1
        labels[:, 1:][others == found] = -1
        candidates = np.concatenate([found, others], axis=1).astype("int32")
        name = "word" if self.kind == "skip_gram" else "around"
        return {name: given[places], "candidates": candidates}, labels


def cooccurrences(sentences, vocabulary_size, window=10):
    """How often words stand near each other, each time counted as one over their distance.

    Pennington et al. (2014), GloVe, section 4.2. Both orders of a pair are counted.

    Args:
        sentences: numbers as `Words.encode` gives them.
        vocabulary_size: of `Words`.
        window: the farthest neighbour.

    Returns:
        Two words and their count for each pair that comes at all: int32, int32 and float32 `(pairs,)`.
    """
    text = np.concatenate([*sentences, np.empty(0, "int32")]).astype("int64")
    sentence = np.repeat(np.arange(len(sentences)), [len(one) for one in sentences])
    keys, sums = np.empty(0, "int64"), np.empty(0)
    for distance in range(1, window + 1):  # one distance after another bounds the memory
        same = sentence[distance:] == sentence[:-distance]
        pairs = text[:-distance][same] * vocabulary_size + text[distance:][same]
        own, times = np.unique(pairs, return_counts=True)
        together, places = np.unique(np.concatenate([keys, own]), return_inverse=True)
        sums = np.bincount(places, np.concatenate([sums, times / distance]))
        keys = together
    first, second = np.divmod(keys, vocabulary_size)
    keys, places = np.unique(np.concatenate([keys, second * vocabulary_size + first]), return_inverse=True)
    sums = np.bincount(places, np.concatenate([sums, sums]))
    first, second = np.divmod(keys, vocabulary_size)
    return first.astype("int32"), second.astype("int32"), sums.astype("float32")


class CooccurrenceBatches(Batches):
    """Pairs of words, the logarithms of their counts and how much each counts, for `glove`.

    A batch is `({"word": …, "context": …}, logarithms, weights)`, `(b, 1)`, `(b, 1)`, `(b, 1)` and `(b,)`: the weights
    are `min(1, (count / limit) ** power)`, equation 9 of GloVe.

    Args:
        first, second, counts: what `cooccurrences` gives.
        batch_size: b.
        limit: the count from which pairs count in full.
        power: of rarer ones.
        seed: decides the order.
    """

    def __init__(self, first, second, counts, batch_size, *, limit=100.0, power=0.75, seed=0):
        pairs = np.stack([first, second], axis=1)
        super().__init__(pairs, np.log(counts, dtype="float32"), batch_size, seed=seed)
        self.weights = np.minimum(1.0, (counts / limit) ** power).astype("float32")

    def draw(self, epoch, index):
        chosen = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        pairs = self.x[chosen]
        x = {"word": pairs[:, :1], "context": pairs[:, 1:]}
        return x, self.y[chosen, None], self.weights[chosen]
