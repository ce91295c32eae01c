"""What the language models share: symbols that come in, layers' first weights.

Shapes: b batch, n length, v vocabulary.
"""

import keras

from kzoo.layers.arguments import check_whole


def token_input(length, vocabulary_size):
    """The model's input: int32 `(b, n)`; `None` for sequences of any length."""
    check_whole(vocabulary_size=vocabulary_size)
    if length is not None:
        check_whole(context_length=length)
    return keras.Input((length,), dtype="int32", name="tokens")


def normal(deviation=1.0):
    """A normal initialiser: a fresh one for each layer, since one that is shared draws the same numbers."""
    return keras.initializers.RandomNormal(stddev=deviation)


def scaled(gain=1.0):
    """Normal weights that change the spread of their inputs by `gain`: deviation `gain / sqrt(inputs)`."""
    return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal")
