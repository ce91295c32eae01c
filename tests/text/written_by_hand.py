"""What writing on with a language model is, in NumPy: the whole text read for each symbol, one prompt at a time."""

import functools
import itertools

import keras
import numpy as np
from keras import ops
from stepping import forward_of

LENGTH = 24  # one program for all texts


def reader_of(model):
    """A function from a text to the logits of what follows it, float64 `(v,)`. What comes after is unseen."""
    length = model.input_shape[1] or LENGTH
    forward = forward_of(model)

    @functools.cache
    def known(text):
        padded = np.zeros((1, length), "int32")
        padded[0, : len(text)] = text
        return forward(ops.convert_to_tensor(padded))[0][0, len(text) - 1].astype("float64")

    return lambda text: known(tuple(text))


def write(read, prompt, count, choose=np.argmax, end_token=None, limit=None):
    """The symbols after one prompt; a text that outgrows `limit` goes on from the last half of it."""
    text, written = list(prompt), []
    for _ in range(count):
        if limit is not None and len(text) > limit:
            text = text[-(limit // 2) :]
        written.append(int(choose(read(text))))
        text.append(written[-1])
        if written[-1] == end_token:
            break
    return written


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """Of each symbol, those that are not drawn from having none."""
    p = np.exp(logits / temperature - (logits / temperature).max())
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    kept = order[:top_k]
    if top_p is not None:
        shares = p[kept] / p[kept].sum()
        kept = kept[np.cumsum(shares) - shares < top_p]
    limited = np.zeros_like(p)
    limited[kept] = p[kept]
    return limited / limited.sum(), order


def drawn(uniform, **options):
    """A function of logits that draws a symbol, the next of these numbers deciding."""
    uniform = iter(uniform)

    def choose(logits):
        p, order = probabilities(logits, **options)
        if options.get("top_k") or options.get("top_p"):
            return order[np.argmax(np.cumsum(p[order]) > next(uniform))]
        return np.argmax(np.cumsum(p) > next(uniform))

    return choose


def scored(read, prompt, symbols):
    """The log-probability of some symbols after a prompt."""
    text, total = list(prompt), 0.0
    for symbol in symbols:
        logits = read(text)
        total += logits[symbol] - np.logaddexp.reduce(logits)
        text.append(symbol)
    return total


def best_of_all(read, prompt, count, vocabulary_size, end_token=None):
    """The likeliest of all texts of so many symbols, or that end before."""
    every = set()
    for symbols in itertools.product(range(vocabulary_size), repeat=count):
        end = symbols.index(end_token) + 1 if end_token in symbols else count
        every.add(symbols[:end])
    return max(every, key=lambda symbols: scored(read, prompt, symbols))


def randomized(model, seed=0):
    """The model with weights by which symbols are clearly told apart."""
    for i, variable in enumerate(model.trainable_variables):
        fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 4
        value = np.random.default_rng([seed, i]).normal(0, 2, variable.shape)
        variable.assign(value * (1 if "embedding" in variable.path else fan_in**-0.5))
    return model


def bigrams(logits):
    """A model that knows the last symbol alone: whose logits of what follows are rows of a table."""
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    table = keras.layers.Embedding(*np.shape(logits), name="embedding")
    model = keras.Model(inputs, table(inputs), name="bigrams")
    table.set_weights([np.asarray(logits, "float32")])
    return model
