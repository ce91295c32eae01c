"""Classifiers of texts: vectors of words, a reader that makes one of them, a head.

The readers: the mean of the words and a hidden layer (Iyyer et al. 2015, Deep averaging networks, P15-1162); the last
states of a recurrent network, Hochreiter and Schmidhuber's (1997) or Cho et al.'s (arXiv:1406.1078), in one direction
or in both (Schuster and Paliwal 1997); the strongest answers of convolutions over the text (Kim 2014, arXiv:1408.5882);
the mean of a Transformer encoder's places (Vaswani et al. 2017, arXiv:1706.03762).

Word 0 is no word: it fills texts up, and however many of it follow a text, the answer is the same.

Shapes: b batch, n length, v vocabulary, d dim, h hidden dim, f features.
"""

import functools

import keras
from keras import layers, ops

from kzoo.layers import MultiHeadAttention, PositionEmbedding
from kzoo.layers.arguments import check_rate, check_whole
from kzoo.models.text.parts import token_input


def mean(x, mask, *, hidden_dim, dropout):
    """The mean of the words through a hidden layer: their order means nothing."""
    return layers.Dense(hidden_dim, "relu", name="hidden")(mean_of(x, mask))


def recurrent(x, mask, *, hidden_dim, dropout, layer=layers.LSTM, both=False, depth=1):
    """The state after the last word; with `both` also the one after the first, of a network that reads backwards.

    Args:
        layer: the recurrent layer's class, such as `keras.layers.GRU`.
        both: whether to read in both directions.
        depth: how many recurrent layers stand on one another.
    """
    check_whole(depth=depth)
    for i in range(1, depth + 1):
        one = layer(hidden_dim, return_sequences=i < depth, name=f"block_{i}")
        x = (layers.Bidirectional(one, name=f"block_{i}_both") if both else one)(x, mask=mask)
        if i < depth and dropout:
            x = layers.Dropout(dropout, name=f"block_{i}_dropout")(x)
    return x


def convolutions(x, mask, *, hidden_dim, dropout, kernel_sizes=(3, 4, 5)):
    """The strongest answer of each filter anywhere in the text, h filters of each width."""
    real = places(mask, x)
    x = layers.Multiply(name="real")([x, real])
    strongest = []
    for size in kernel_sizes:
        check_whole(kernel_size=size)
        # Around each word: answers beyond the text are zeroed, which no answer after ReLU is below.
        y = layers.Conv1D(hidden_dim, size, padding="same", activation="relu", name=f"filters_{size}")(x)
        y = layers.Multiply(name=f"filters_{size}_real")([y, real])
        strongest.append(layers.GlobalMaxPooling1D(name=f"strongest_{size}")(y))
    return layers.Concatenate(name="strongest")(strongest) if len(strongest) > 1 else strongest[0]


def encoder(x, mask, *, hidden_dim, dropout, depth=2, num_heads=4, mlp_ratio=2, max_sequence_length=512):
    """The mean of the places of a Transformer encoder, normalised before each part.

    Args:
        depth: blocks.
        num_heads: attention heads of each block, which divide h.
        mlp_ratio: width of a block's dense layers over h.
        max_sequence_length: how many places there are positions for.
    """
    check_whole(depth=depth, num_heads=num_heads, max_sequence_length=max_sequence_length)
    if hidden_dim % num_heads:
        raise ValueError(
            f"num_heads must divide hidden_dim. Received: hidden_dim={hidden_dim}, num_heads={num_heads}"
        )
    x = layers.Dense(hidden_dim, name="projection")(x)
    x = PositionEmbedding(max_sequence_length, name="position")(x)
    for i in range(1, depth + 1):
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block_{i}_norm_1")(x)
        y = MultiHeadAttention(num_heads, dropout=dropout, name=f"block_{i}_attention")(y, key_mask=mask)
        x = added(x, y, dropout, f"block_{i}_attention")
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block_{i}_norm_2")(x)
        y = layers.Dense(hidden_dim * mlp_ratio, "gelu", name=f"block_{i}_mlp_1")(y)
        y = layers.Dense(hidden_dim, name=f"block_{i}_mlp_2")(y)
        x = added(x, y, dropout, f"block_{i}_mlp")
    return mean_of(layers.LayerNormalization(epsilon=1e-5, name="norm")(x), mask)


def added(x, branch, dropout, name):
    """`x + branch`, units of the branch dropping out."""
    if dropout:
        branch = layers.Dropout(dropout, name=f"{name}_dropout")(branch)
    return layers.Add(name=f"{name}_add")([x, branch])


def places(mask, x):
    """The mask `(b, n)` as numbers `(b, n, 1)` of x's kind."""
    return ops.expand_dims(ops.cast(mask, x.dtype), -1)


def mean_of(x, mask):
    """The mean of the real places of `(b, n, f)`, `(b, f)`; of none of them, zeros, where Keras's pooling gives NaN."""
    real = places(mask, x)
    return ops.sum(x * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)


SIZES = {
    "text_mean": dict(reader=mean),
    "text_rnn": dict(reader=functools.partial(recurrent, layer=layers.SimpleRNN)),
    "text_gru": dict(reader=functools.partial(recurrent, layer=layers.GRU)),
    "text_lstm": dict(reader=recurrent),
    "text_bilstm": dict(reader=functools.partial(recurrent, both=True)),
    "text_cnn": dict(reader=convolutions, hidden_dim=100),  # section 3.1 of the paper
    "text_transformer": dict(reader=encoder),
}
NUM_CLASSES = 2


def text_classifier(
    vocabulary_size,
    num_classes,
    *,
    reader,
    dim=100,
    hidden_dim=128,
    vectors=None,
    word_dropout=0.0,
    dropout=0.0,
    name="text_classifier",
):
    """Words `(b, n)` of any length to logits `(b, num_classes)`.

    Args:
        vocabulary_size: v, word 0 included, which is none.
        num_classes: how many logits; 0 gives the features before the head, `(b, f)`.
        reader: a function of vectors `(b, n, d)`, which places are real `(b, n)`, `hidden_dim` and `dropout`, that
            gives features `(b, f)`: one of this file, or one's own.
        dim: d, of each word's vector; that of `vectors` where these are given.
        hidden_dim: h, of the reader's layers, in each direction and of each width.
        vectors: what the words' vectors begin with, `(v, d)`, such as `WordVectors.rows` gives.
        word_dropout: rate at which whole words are left out in training.
        dropout: rate on the vectors, the features and inside the reader.
        name: of the model.

    Raises:
        ValueError: if a size or rate is out of range, or there is not one vector for each word.
    """
    check_whole(dim=dim, hidden_dim=hidden_dim)
    check_rate(word_dropout=word_dropout, dropout=dropout)
    tokens = token_input(None, vocabulary_size)
    if vectors is not None and (len(vectors.shape) != 2 or vectors.shape[0] != vocabulary_size):
        raise ValueError(
            f"there must be a vector for each word of the vocabulary. Received: vectors of shape "
            f"{tuple(vectors.shape)}, vocabulary_size={vocabulary_size}"
        )
    mask = ops.not_equal(tokens, 0)
    table = layers.Embedding(vocabulary_size, dim if vectors is None else vectors.shape[1], name="embedding")
    x = table(tokens)
    if vectors is not None:
        table.set_weights([vectors])
    if word_dropout:
        x = layers.Dropout(word_dropout, noise_shape=(None, None, 1), name="word_dropout")(x)
    if dropout:
        x = layers.Dropout(dropout, name="embedding_dropout")(x)
    x = reader(x, mask, hidden_dim=hidden_dim, dropout=dropout)
    if not num_classes:
        return keras.Model(tokens, x, name=name)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return keras.Model(tokens, layers.Dense(num_classes, name="head")(x), name=name)
