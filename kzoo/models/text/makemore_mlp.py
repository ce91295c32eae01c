"""The first neural language model: a few symbols' embeddings, joined, through one hidden layer.

Bengio et al. (2003), A neural probabilistic language model, Journal of Machine Learning Research 3, equation 1 without
direct connections; sizes and first weights of karpathy/makemore, whose loss on names is 2.105 nats a letter.

Shapes: b batch, n context length, v vocabulary, d dim, h hidden dim.
"""

import keras
from keras import layers

from kzoo.models.text.parts import normal, scaled, token_input

SIZES = {"makemore_mlp": dict(context_length=3, dim=10, hidden_dim=200)}


def makemore_mlp(vocabulary_size, *, context_length=3, dim=10, hidden_dim=200, name="makemore_mlp"):
    """`W tanh(H e + d) + b` of the joined embeddings `e`: `(b, n)` symbols to `(b, v)` logits of the next.

    Args:
        vocabulary_size: v.
        context_length: n, how many symbols are seen.
        dim: d, of each symbol's embedding.
        hidden_dim: h.
        name: of the model.
    """
    inputs = token_input(context_length, vocabulary_size)
    x = layers.Embedding(vocabulary_size, dim, embeddings_initializer=normal(), name="embedding")(inputs)
    x = layers.Flatten(name="joined")(x)  # (b, n * d)
    # tanh brings a spread of 1 down to 0.63; 5/3 makes up for it.
    x = layers.Dense(hidden_dim, "tanh", kernel_initializer=scaled(5 / 3), name="hidden")(x)
    # Small, so that at first every symbol is about as likely.
    x = layers.Dense(vocabulary_size, kernel_initializer=scaled(0.1), name="head")(x)
    return keras.Model(inputs, x, name=name)
