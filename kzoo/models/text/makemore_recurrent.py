"""Recurrent language models: what was read so far is kept in a state, however long it is.

Mikolov et al. (2010), Recurrent neural network based language model; Hochreiter and Schmidhuber (1997), Long short-term
memory; Cho et al. (2014), arXiv:1406.1078, for the gated recurrent unit. Sizes of karpathy/makemore.

Shapes: b batch, n length, v vocabulary, d dim, h hidden dim.
"""

import keras
from keras import layers

from kzoo.layers.arguments import check_whole
from kzoo.models.text.parts import token_input

SIZES = {
    "makemore_rnn": dict(layer=layers.SimpleRNN, dim=64, hidden_dim=64),
    "makemore_gru": dict(layer=layers.GRU, dim=64, hidden_dim=64),
    "makemore_lstm": dict(layer=layers.LSTM, dim=64, hidden_dim=64),
}


def makemore_recurrent(
    vocabulary_size,
    *,
    layer=layers.GRU,
    dim=64,
    hidden_dim=64,
    depth=1,
    dropout=0.0,
    name="makemore_recurrent",
):
    """Logits of what follows each place: `(b, n)` symbols of any length to `(b, n, v)`.

    Args:
        vocabulary_size: v.
        layer: the recurrent layer's class, such as `keras.layers.GRU`.
        dim: d, of each symbol's embedding.
        hidden_dim: h, of the state.
        depth: how many recurrent layers stand on one another.
        dropout: rate after the embedding and each recurrent layer.
        name: of the model.
    """
    check_whole(depth=depth)
    inputs = token_input(None, vocabulary_size)
    x = layers.Embedding(vocabulary_size, dim, name="embedding")(inputs)
    for i in range(1, depth + 1):
        if dropout:
            x = layers.Dropout(dropout, name=f"block_{i}_dropout")(x)
        x = layer(hidden_dim, return_sequences=True, name=f"block_{i}")(x)  # (b, n, h)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return keras.Model(inputs, layers.Dense(vocabulary_size, name="head")(x), name=name)
