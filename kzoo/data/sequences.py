"""Batches of sequences: of different lengths, padded to one of a few; and windows of one long text.

Both follow from the seed and the epoch alone, as `Batches` do: a resumed run sees what the uninterrupted one saw.
Shapes: b batch, n length.
"""

import numpy as np

from kzoo.data.batches import Batches

IGNORED = -1  # a label that does not count: give it to the loss as `ignore_class`
LENGTHS = (
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    384,
    512,
)  # of texts: each at most half as long again


class SequenceBatches(Batches):
    """Batches of sequences of different lengths, each batch of sequences of about one length.

    An epoch's order is drawn, then sorted by bucket: examples of one bucket stay in their drawn order, are cut into
    batches of `batch_size`, and the batches are shuffled. Each batch is padded to the length of its longest example's
    bucket, so that an engine that compiles for each shape compiles a few times only.

    Args:
        x: sequences of numbers, a list of `(n,)`; or a dict of such lists, of which an example's longest counts.
        y: labels of the examples, `(examples, ...)`; or sequences of labels as long as those of one input, to be padded
            with `IGNORED`; or `None`.
        batch_size: examples per batch; the last one of an epoch may be smaller.
        lengths: what batches are padded to, ascending; or how many lengths to choose, equally many examples to each.
        pad: the number that fills up sequences.
        mask: whether to give which places are real too: `x` is then a dict, with `"mask"` beside `"tokens"`, or
            `"…_mask"` beside each entry of a dict.
        cut: whether to cut longer sequences than the longest length; otherwise they are an error.
        seed, shuffle, drop_last, num_classes: as `Batches` takes them; the last for one label an example.

    Raises:
        ValueError: for an empty sequence, one that is too long, or sequences and labels that do not belong together.
    """

    def __init__(
        self,
        x,
        y=None,
        batch_size=32,
        *,
        lengths=4,
        pad=0,
        mask=False,
        cut=False,
        seed=0,
        shuffle=True,
        drop_last=False,
        num_classes=None,
    ):
        self.named = isinstance(x, dict)
        self.parts = x if self.named else {"tokens": x}
        sizes = {name: np.array([len(one) for one in part], int) for name, part in self.parts.items()}
        _check_sizes(sizes)
        longest = np.max([*sizes.values()], axis=0)
        self.each = isinstance(y, list | tuple) and len(y) > 0 and np.ndim(y[0]) == 1
        super().__init__(
            *(longest, None if self.each else y, batch_size),
            **dict(seed=seed, shuffle=shuffle, drop_last=drop_last, num_classes=num_classes),
        )
        if self.each:
            own = np.array([len(one) for one in y], int)
            if not any(np.array_equal(own, counts) for counts in sizes.values()):
                raise ValueError(
                    "sequences of labels must be as long as those of an input. Received: "
                    f"{len(own)} of {own.sum()} labels, for {[(len(n), int(n.sum())) for n in sizes.values()]}"
                )
            self.labels = y
        self.lengths = self._lengths(longest, lengths)
        if longest.max() > self.lengths[-1] and not cut:
            worst = int(longest.argmax())
            raise ValueError(
                f"a sequence is longer than all lengths: give a larger one, or cut=True. Received: {longest[worst]} in "
                f"example {worst}, lengths={tuple(self.lengths.tolist())}"
            )
        self.pad, self.mask = pad, mask
        self.buckets = np.minimum(np.searchsorted(self.lengths, longest), len(self.lengths) - 1)

    @staticmethod
    def _lengths(longest, lengths):
        if isinstance(lengths, int):
            if lengths < 1:
                raise ValueError(f"there must be a length to pad to. Received: lengths={lengths}")
            shares = np.quantile(longest, np.arange(1, lengths + 1) / lengths, method="higher")
            return np.unique(shares.astype(int))
        lengths = np.asarray(lengths, int)
        if not len(lengths) or lengths[0] < 1 or (np.diff(lengths) <= 0).any():
            raise ValueError(
                f"lengths must ascend from at least 1. Received: lengths={tuple(lengths.tolist())}"
            )
        return lengths

    def order(self, epoch=None):
        """Indices of the examples in the order of an epoch, by default of the current one."""
        epoch = self.epoch if epoch is None else epoch
        known, order = self._order
        if known != epoch:
            order = np.arange(len(self.x))
            if self.shuffle:
                generator = np.random.default_rng([self.seed, epoch])
                order = generator.permutation(len(self.x))
                full = len(order) // self.batch_size * self.batch_size
                # Those left over are drawn before sorting: otherwise they would always be the longest.
                rest, order = order[full:], order[:full]
                order = order[np.argsort(self.buckets[order], kind="stable")]
                rows = generator.permutation(order.reshape(-1, self.batch_size))
                order = np.concatenate([rows.reshape(-1), rest])
            self._order = (epoch, order)
        return order

    def draw(self, epoch, index):
        chosen = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        length = int(self.lengths[self.buckets[chosen].max()])
        x = {name: self._padded(part, chosen, length, self.pad) for name, part in self.parts.items()}
        if self.mask:
            real = {name: self._padded(part, chosen, length, None) for name, part in self.parts.items()}
            x |= {f"{name}_mask" if self.named else "mask": mask for name, mask in real.items()}
        elif not self.named:
            x = x["tokens"]
        if self.each:
            return x, self._padded(self.labels, chosen, length, IGNORED)
        return (x,) if self.y is None else (x, self.y[chosen])

    @staticmethod
    def _padded(part, chosen, length, fill):
        """The chosen sequences as one array `(b, length)`; without anything to fill with, which places are real."""
        rows = np.full((len(chosen), length), fill or 0, bool if fill is None else "int32")
        for row, i in zip(rows, chosen):
            n = min(len(part[i]), length)
            row[:n] = True if fill is None else part[i][:n]
        return rows


def text_batches(texts, y, tokens, batch_size, *, longest=128, **options):
    """Labelled texts in batches of about one length: `SequenceBatches` of few shapes, whatever the texts.

    Args:
        texts: strings.
        y: their classes, `(texts,)`.
        tokens: a `Subwords`, whose number 0 fills texts up.
        batch_size: texts per batch.
        longest: of longer texts the first so many words, or pieces, are read.
        **options: of `SequenceBatches`: `seed`, `shuffle`, `mask`, `num_classes`.

    Raises:
        ValueError: for a text without a word, or one too long for the vocabulary's library.
    """
    if longest < 1:
        raise ValueError(f"a text must be read as far as one word at least. Received: longest={longest}")
    lengths = [length for length in LENGTHS if length < longest]
    return SequenceBatches(
        tokens.encode_all(texts), y, batch_size, lengths=[*lengths, longest], cut=True, **options
    )


def _check_sizes(sizes):
    """Every input has a sequence for each example, and none is empty."""
    counts = {name: len(lengths) for name, lengths in sizes.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"each input must have one sequence per example. Received: {counts}")
    for name, lengths in sizes.items():
        if (empty := np.flatnonzero(lengths == 0)).size:
            raise ValueError(
                f"a sequence must not be empty: leave such examples out. Received: {len(empty)} empty of {name}, the "
                f"first in example {empty[0]}"
            )


class WindowBatches(Batches):
    """Windows of one long text and what follows each of their places: `x` and `y` `(b, n)`, `y` one place ahead.

    To train, the windows of batch `i` of epoch `e` begin anywhere, by `default_rng([seed, e, i])`, and an epoch is a
    given number of batches, as in nanoGPT. With `shuffle=False` they stand side by side and cover the text once, each
    of its numbers but the first being predicted once; the last one is filled up with `IGNORED` labels.

    Args:
        tokens: the text's numbers, `(length of the text,)`.
        length: n.
        batch_size: b.
        steps: batches in an epoch; by default as many as the text fills. Only with `shuffle=True`.
        seed: decides where the windows begin.
        shuffle: whether they begin anywhere.

    Raises:
        ValueError: if the text has fewer than `length + 1` numbers.
    """

    def __init__(self, tokens, length, batch_size, *, steps=None, seed=0, shuffle=True):
        tokens = np.asarray(tokens, "int32")
        if tokens.ndim != 1 or len(tokens) < length + 1 or length < 1:
            raise ValueError(
                f"the text must be longer than a window, and a window have a place. Received: tokens of shape "
                f"{tokens.shape}, length={length}"
            )
        windows = -(-(len(tokens) - 1) // length)
        if steps is not None and (not shuffle or steps < 1):
            raise ValueError(
                f"steps is how many batches of windows anywhere make an epoch. Received: steps={steps}, "
                f"shuffle={shuffle}"
            )
        super().__init__(
            np.zeros(windows if steps is None else steps * batch_size, "int8"),
            *(None, batch_size),
            seed=seed,
            shuffle=shuffle,
            drop_last=shuffle and (steps is not None or windows >= batch_size),
        )
        self.tokens, self.length = tokens, int(length)

    def draw(self, epoch, index):
        n = self.length
        if self.shuffle:
            generator = np.random.default_rng([self.seed, epoch, index])
            first = generator.integers(0, len(self.tokens) - n, self.batch_size)
        else:
            first = np.arange(index * self.batch_size, min((index + 1) * self.batch_size, len(self.x))) * n
        places = first[:, None] + np.arange(n + 1)
        inside = places < len(self.tokens)
        rows = np.where(inside, self.tokens[np.minimum(places, len(self.tokens) - 1)], 0)
        return rows[:, :-1], np.where(inside[:, 1:], rows[:, 1:], IGNORED).astype("int32")
