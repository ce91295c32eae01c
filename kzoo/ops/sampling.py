"""Choosing the symbol that follows, by its logits: the likeliest, one drawn by its probability, or beams.

Top-k: Fan et al. (2018), Hierarchical Neural Story Generation, arXiv:1805.04833. Top-p: Holtzman et al. (2020), The
Curious Case of Neural Text Degeneration, arXiv:1904.09751.

Shapes: b batch, k beams, v vocabulary.
"""

from keras import ops

IMPOSSIBLE = -1e30  # a log-probability


def likeliest(logits):
    """The symbol of the highest logit, the first of equals: `(b, v)` to int32 `(b,)`."""
    return ops.cast(ops.argmax(logits, axis=-1), "int32")


def sample(logits, uniform, *, temperature=1.0, top_k=None, top_p=None):
    """A symbol drawn by its probability: `(b, v)` to int32 `(b,)`.

    Draws come from outside, so that one seed gives one text, whatever the engine and however it is compiled: the symbol
    is the first at which the cumulated probability exceeds `uniform`.

    Args:
        logits: of each symbol.
        uniform: `(b,)`, numbers in [0, 1), one for each draw.
        temperature: logits are divided by it: below 1 likely symbols become likelier.
        top_k: only so many of the likeliest symbols are drawn from.
        top_p: only the likeliest symbols are drawn from, as few as have this probability together, after `top_k`.
    """
    logits = ops.cast(logits, "float32") / temperature
    v = logits.shape[-1]
    ranked = None
    if top_p is not None or (top_k is not None and top_k < v):
        logits, ranked = ops.top_k(logits, v if top_k is None else min(top_k, v))
    probabilities = ops.softmax(logits, axis=-1)
    cumulated = ops.cumsum(probabilities, axis=-1)
    if top_p is not None:  # a symbol stays if those before it are not yet enough
        probabilities = ops.where(cumulated - probabilities < top_p, probabilities, 0.0)
        cumulated = ops.cumsum(probabilities, axis=-1)
    goal = ops.expand_dims(uniform, 1) * cumulated[:, -1:]
    place = ops.sum(ops.cast(cumulated <= goal, "int32"), axis=-1)
    # The last that is possible, should the product have been rounded up to the whole.
    place = ops.minimum(place, ops.cast(ops.argmax(cumulated, axis=-1), "int32"))
    if ranked is None:
        return place
    return ops.cast(ops.take_along_axis(ranked, ops.expand_dims(place, 1), axis=1)[:, 0], "int32")


def extend_beams(scores, logits, ended=None, end_token=None):
    """The k best continuations of k beams by one symbol, best first.

    A beam that has ended goes on with its end at no cost, and so keeps its place as long as no other overtakes it.

    Args:
        scores: `(b, k)`, the log-probability of each beam so far; at first 0 and, for the others, which are the same
            text, `IMPOSSIBLE`.
        logits: `(b, k, v)`, of what follows each beam.
        ended: boolean `(b, k)`, which beams have ended.
        end_token: the symbol that ends them.

    Returns:
        The new scores, which beam each comes from, and its new symbol: `(b, k)` each, the last two int32.
    """
    _, k, v = logits.shape
    steps = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    if ended is not None:
        free = ops.where(ops.arange(v, dtype="int32") == end_token, 0.0, IMPOSSIBLE)
        steps = ops.where(ops.expand_dims(ended, -1), free, steps)
    totals = ops.reshape(ops.expand_dims(scores, -1) + steps, (-1, k * v))
    scores, places = ops.top_k(totals, k)
    places = ops.cast(places, "int32")
    return scores, places // v, places % v
