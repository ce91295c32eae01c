"""How well a language model foretells a text: nats a symbol, exactly, whatever batches it comes in.

Shapes: b batch, n length, v vocabulary.
"""

import numpy as np


def nats_per_symbol(model, batches, ignored=-1):
    """The mean negative log-likelihood of every symbol that counts, by the model's logits.

    `evaluate` takes the mean over batches, in which symbols of a short batch count for more.

    Args:
        model: gives logits `(b, v)` or `(b, n, v)`.
        batches: a `kzoo.data.Batches` or its like: `draw(epoch, index)` gives `x` and labels `(b,)` or `(b, n)`. Those
            of the first epoch are taken.
        ignored: the label that does not count.

    Raises:
        ValueError: if no label counts.
    """
    total, count = 0.0, 0
    for i in range(len(batches)):
        x, y = batches.draw(0, i)
        logits = np.asarray(model.predict_on_batch(x), "float64")[y != ignored]
        y = y[y != ignored]
        total += float(np.sum(np.logaddexp.reduce(logits, axis=-1) - logits[np.arange(len(y)), y]))
        count += len(y)
    if not count:
        raise ValueError(f"some label must count. Received: {len(batches)} batches without one")
    return total / count
