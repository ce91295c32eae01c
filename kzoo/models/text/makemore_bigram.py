"""Bigrams as a network: a table of how likely each symbol follows each.

karpathy/makemore, bigram; Shannon (1948), A mathematical theory of communication, section 3. Its best loss is that of
counting pairs.

Shapes: b batch, v vocabulary.
"""

import keras
from keras import layers

from kzoo.models.text.parts import token_input

SIZES = {"makemore_bigram": {}}


def makemore_bigram(vocabulary_size, *, name="makemore_bigram"):
    """One row of logits for each symbol: `(b, 1)` symbols to `(b, v)` logits of the next.

    Args:
        vocabulary_size: v.
        name: of the model.
    """
    inputs = token_input(1, vocabulary_size)
    x = layers.Embedding(vocabulary_size, vocabulary_size, name="table")(inputs)
    return keras.Model(inputs, layers.Flatten(name="head")(x), name=name)
