"""Short lines made up by a language model, many at once: names, words."""

import numpy as np


def made_up(model, letters, count, longest, *, end=".", seed=0):
    """Lines made up letter by letter, each letter drawn by its probability.

    Args:
        model: gives logits `(b, v)` after a window of letters, or `(b, n, v)` after each place of a line.
        letters: a `kzoo.data.Characters`, with `end` as number 0.
        count: how many lines.
        longest: letters that a line may have; one that is not ended by then ends there.
        end: the letter that begins lines and ends them.
        seed: of what is drawn, by NumPy's generator.

    Returns:
        A list of strings without their ends; some may be empty.

    Raises:
        ValueError: if `end` is not number 0.
    """
    if letters.encode(end).tolist() != [0]:
        raise ValueError(
            f"the letter that ends lines must be number 0 of the vocabulary. Received: end={end!r}"
        )
    generator, context = np.random.default_rng(seed), model.input_shape[1]
    begin = context or 1
    rows = np.zeros((count, begin + longest), "int32")
    for i in range(longest):
        seen = rows[:, i : i + context] if context else rows[:, :longest]  # of one length: compiled once
        logits = model.predict_on_batch(seen)
        logits = logits if context else logits[:, i]
        drawn = np.argmax(logits + generator.gumbel(size=logits.shape), axis=-1)
        ended = (rows[:, begin : begin + i] == 0).any(1)
        rows[:, begin + i] = np.where(ended, 0, drawn)
    return [letters.decode(row[begin:]).partition(end)[0] for row in rows]
