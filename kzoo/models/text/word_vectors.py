"""Networks whose first weights are word vectors: skip-gram and CBOW with negative sampling, and GloVe.

Mikolov et al. (2013), Distributed Representations of Words and Phrases, arXiv:1310.4546; Pennington et al. (2014),
GloVe: Global Vectors for Word Representation, D14-1162. `kzoo.data.word_contexts` has their batches, in which word 0 is
no word; the first two are trained with `kzoo.losses.NegativeSampling`.

Shapes: b batch, k words drawn, w window, v vocabulary, d dim.
"""

import keras
from keras import layers, ops

from kzoo.models.text.vectors import WordVectors


def skip_gram(vocabulary_size, dim, *, name="skip_gram"):
    """A word's likeness to others: `"word"` `(b, 1)` and `"candidates"` `(b, 1 + k)` to logits `(b, 1 + k)`.

    Args:
        vocabulary_size: v, the row of no word included.
        dim: d.
        name: of the model.
    """
    word = keras.Input((1,), dtype="int32", name="word")
    x = _vectors(vocabulary_size, dim, "words")(word)  # (b, 1, d)
    return _scored(word, x, vocabulary_size, name)


def cbow(vocabulary_size, dim, *, window=5, name="cbow"):
    """The likeness of a mean of words to others: `"around"` `(b, 2 w)` and `"candidates"` `(b, 1 + k)` to logits.

    Args:
        vocabulary_size: v, the row of no word included.
        dim: d.
        window: w.
        name: of the model.
    """
    around = keras.Input((2 * window,), dtype="int32", name="around")
    x = _vectors(vocabulary_size, dim, "words", mask_zero=True)(around)
    x = layers.GlobalAveragePooling1D(keepdims=True, name="mean")(x)  # (b, 1, d), of the words that are there
    return _scored(around, x, vocabulary_size, name)


def _scored(inputs, x, vocabulary_size, name):
    """The products of `(b, 1, d)` with the second vectors of candidates."""
    candidates = keras.Input((None,), dtype="int32", name="candidates")
    # They begin at zero, as in word2vec: at first nothing is more likely than anything else.
    contexts = layers.Embedding(
        vocabulary_size, x.shape[-1], embeddings_initializer="zeros", name="contexts"
    )(candidates)  # (b, 1 + k, d)
    logits = layers.Dot(2, name="products")([x, contexts])  # (b, 1, 1 + k)
    x = {inputs.name: inputs, "candidates": candidates}
    return keras.Model(x, layers.Reshape((-1,), name="logits")(logits), name=name)


def _vectors(vocabulary_size, dim, name, **options):
    """An embedding with the first weights of word2vec and GloVe: evenly within half of `1 / d`."""
    start = keras.initializers.RandomUniform(-0.5 / dim, 0.5 / dim)
    return layers.Embedding(vocabulary_size, dim, embeddings_initializer=start, name=name, **options)


def glove(vocabulary_size, dim, *, name="glove"):
    """How often two words stand together: `"word"` and `"context"`, `(b, 1)`, to the logarithm of a count, `(b, 1)`.

    `w_i · v_j + b_i + c_j`: train it with `MeanSquaredError(reduction="sum")` and AdaGrad, as the authors do.

    Args:
        vocabulary_size: v, the row of no word included.
        dim: d.
        name: of the model.
    """
    word = keras.Input((1,), dtype="int32", name="word")
    context = keras.Input((1,), dtype="int32", name="context")
    sides = [
        (_vectors(vocabulary_size, dim, side)(tokens), _vectors(vocabulary_size, 1, f"{side}_bias")(tokens))
        for side, tokens in (("words", word), ("contexts", context))
    ]
    product = layers.Dot(2, name="products")([sides[0][0], sides[1][0]])  # (b, 1, 1)
    x = layers.Add(name="sum")([product, sides[0][1], sides[1][1]])
    return keras.Model({"word": word, "context": context}, layers.Flatten(name="logarithm")(x), name=name)


def vectors_of(model, words):
    """What one of these networks learnt, as `WordVectors`; GloVe's are the sums of both its tables, as the paper's.

    Args:
        model: of `skip_gram`, `cbow` or `glove`.
        words: the words in the order of their numbers, from 1.

    Raises:
        ValueError: if the model has another number of words.
    """
    table = ops.convert_to_numpy(model.get_layer("words").embeddings)[1:]
    if any(layer.name == "words_bias" for layer in model.layers):
        table = table + ops.convert_to_numpy(model.get_layer("contexts").embeddings)[1:]
    return WordVectors(words, table)


def embedding_layer(vectors, words, *, seed=0, **options):
    """A `keras.layers.Embedding` that begins with known vectors: for a classifier of one's own vocabulary.

    Args:
        vectors: a `WordVectors`.
        words: the vocabulary in the order of its numbers. Words without a vector begin with a random one as long as the
            others are on average.
        seed: of those.
        **options: of the layer: `mask_zero`, `trainable`, `name`.
    """
    table, _ = vectors.rows(words, seed)
    layer = layers.Embedding(len(words), vectors.dim, **options)
    layer.build((None, None))
    layer.set_weights([table])
    return layer
