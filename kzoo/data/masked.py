"""Batches for masked language models: some pieces of each text hidden, anew in every epoch.

Shapes: b batch, n length.
"""

import numpy as np

from kzoo.data.encodings import BEGIN, END, MASK
from kzoo.data.sequences import IGNORED, SequenceBatches
from kzoo.data.tokens import PAD, UNKNOWN


def masked(ids, chosen, draw, specials, mask, vocabulary_size):
    """Texts `(b, n)` with the chosen pieces hidden: 80 % masked, 10 % others, 10 % as they were.

    Devlin et al. (2018), BERT, arXiv:1810.04805, appendix A.1.

    Args:
        ids: `(b, n)`.
        chosen: boolean `(b, n)`, the pieces to guess.
        draw: a NumPy generator.
        specials: numbers that no piece is replaced by.
        mask: the number of the mask.
        vocabulary_size: how many numbers there are.

    Returns:
        The texts, and labels `(b, n)`: the chosen pieces, and `IGNORED` elsewhere.
    """
    kinds = draw.random(ids.shape)
    others = np.setdiff1d(np.arange(vocabulary_size), specials)
    drawn = others[draw.integers(0, len(others), ids.shape)]
    hidden = np.where(kinds < 0.8, mask, np.where(kinds < 0.9, drawn, ids))
    return np.where(chosen, hidden, ids).astype("int32"), np.where(chosen, ids, IGNORED).astype("int32")


class MaskedBatches(SequenceBatches):
    """Batches of texts with hidden pieces and the pieces that they are.

    What is hidden in batch `i` of epoch `e` follows from `default_rng([seed, e, i])`; of each text it is `rate` of its
    pieces, and at least one.

    Args:
        x: texts as `kzoo.data.encodings.marked` gives them.
        tokens: their vocabulary, a `Subwords` with `[MASK]`.
        batch_size: b.
        rate: the share that is to be guessed.
        places: whether to say where, for `kzoo.models.text.bert_heads.masked_guesses`: x is then `{"tokens": (b, n),
            "places": (b, k)}` and the pieces are `(b, k)`, with `IGNORED` where a text has fewer.
        **options: of `SequenceBatches`.

    Raises:
        ValueError: for a share that does not lie between 0 and 1, or a text of marks alone.
    """

    def __init__(self, x, tokens, batch_size, *, rate=0.15, places=False, **options):
        if not 0 < rate < 1:
            raise ValueError(f"rate must lie between 0 and 1. Received: rate={rate}")
        super().__init__(x, None, batch_size, **options)
        self.places = places
        self.rate, self.mask_id, self.vocabulary_size = rate, tokens.id_of(MASK), tokens.vocabulary_size
        self.marks = [tokens.id_of(name) for name in (PAD, BEGIN, END, MASK)]
        self.specials = [*self.marks, tokens.id_of(UNKNOWN)]
        for i, row in enumerate(x):
            if np.isin(row, self.marks).all():
                raise ValueError(f"a text must have a piece to guess. Received: marks alone in example {i}")

    def draw(self, epoch, index):
        ids = super().draw(epoch, index)[0]
        generator = np.random.default_rng([self.seed, epoch, index])
        free = ~np.isin(ids, self.marks)
        # Of each text the places with the smallest numbers, as many as its share.
        order = np.argsort(np.where(free, generator.random(ids.shape), 2.0), axis=1)
        rank = np.argsort(order, axis=1)
        count = np.maximum(1, np.round(self.rate * free.sum(1))).astype(int)
        chosen = (rank < count[:, None]) & free
        hidden, labels = masked(ids, chosen, generator, self.specials, self.mask_id, self.vocabulary_size)
        if not self.places:
            return hidden, labels
        # As many for every text of a length, so that an engine that compiles for each shape compiles a few times only.
        places = order[:, : max(1, round(self.rate * ids.shape[1]))].astype("int32")
        return {"tokens": hidden, "places": places}, np.take_along_axis(labels, places, axis=1)
