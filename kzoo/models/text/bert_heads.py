"""What is put on an encoder such as `bert`: a class for the text, a class for each token, a span, the masked tokens.

```python
encoder = kzoo.create_model("bert_tiny")
model = classifier(encoder, num_classes=2)
```

The heads' layers share the encoder's: training one trains the other. Devlin et al. (2018), arXiv:1810.04805, sections 3
and 4; means over tokens as in Reimers and Gurevych (2019), arXiv:1908.10084.

Shapes: b batch, n length, v vocabulary, d dim.
"""

import keras
from keras import layers, ops

from kzoo.layers import Bias
from kzoo.layers.arguments import check_rate, check_whole
from kzoo.models.text.bert import initial, real_places

UNLIKELY = -1e9  # the logit of a place that cannot be


def classifier(encoder, num_classes, *, mean=False, dropout=0.1, name="classifier"):
    """Logits of the text's classes, `(b, num_classes)`.

    Args:
        encoder: a model from tokens to `(b, n, d)`.
        num_classes: how many classes there are.
        mean: whether to take the mean over the real tokens; otherwise the first token through BERT's `pooler`.
        dropout: rate before the head.
        name: of the model.
    """
    check_whole(num_classes=num_classes)
    x = _mean(encoder) if mean else _pooled(encoder)
    x = _dropped(x, dropout)
    x = layers.Dense(num_classes, kernel_initializer=initial(), name="head")(x)
    return keras.Model(encoder.input, x, name=name)


def last_token_classifier(decoder, num_classes, *, pad=0, dropout=0.1, name="last_token_classifier"):
    """Logits of the text's classes, `(b, num_classes)`, of a GPT: its last real token alone has read all of the text.

    Args:
        decoder: a `gpt`, from tokens to logits of what follows, whose layer `norm` gives `(b, n, d)`.
        num_classes: how many classes there are.
        pad: the token that fills texts up at their ends.
        dropout: rate before the head.
        name: of the model.
    """
    check_whole(num_classes=num_classes)
    x = decoder.get_layer("norm").output
    real = ops.cast(real_places(decoder.input, pad), "int32")
    after = ops.sum(real, axis=1, keepdims=True) - ops.cumsum(
        real, axis=1
    )  # how many real ones come after each
    last = ops.logical_and(ops.equal(real, 1), ops.equal(after, 0))
    x = ops.sum(ops.where(ops.expand_dims(last, -1), x, 0.0), axis=1)
    x = _dropped(x, dropout)
    x = layers.Dense(num_classes, kernel_initializer=initial(), name="head")(x)
    return keras.Model(decoder.input, x, name=name)


def token_classifier(encoder, num_classes, *, dropout=0.1, name="token_classifier"):
    """Logits of each token's classes, `(b, n, num_classes)`."""
    check_whole(num_classes=num_classes)
    x = _dropped(encoder.output, dropout)
    x = layers.Dense(num_classes, kernel_initializer=initial(), name="head")(x)
    return keras.Model(encoder.input, x, name=name)


def span_extractor(encoder, *, name="span_extractor"):
    """Logits of where a span begins and ends: `{"start": (b, n), "end": (b, n)}`.

    Padding cannot be either; nor, where the encoder takes segments, can the first segment, which asks the question.
    """
    x = layers.Dense(2, kernel_initializer=initial(), name="head")(encoder.output)
    possible = _real(encoder)
    if isinstance(encoder.input, dict):
        possible = ops.logical_and(possible, ops.equal(encoder.input["segments"], 1))
    start, end = (ops.where(possible, x[..., i], UNLIKELY) for i in range(2))
    return keras.Model(encoder.input, {"start": start, "end": end}, name=name)


def masked_language_model(encoder, *, epsilon=1e-12, name="masked_language_model"):
    """Logits of the token that stood at each place, `(b, n, v)`, by the token embedding's own table."""
    table = encoder.get_layer("token_embedding")
    x = layers.Dense(encoder.output.shape[-1], "gelu", kernel_initializer=initial(), name="head_dense")(
        encoder.output
    )
    x = layers.LayerNormalization(epsilon=epsilon, name="head_norm")(x)
    return keras.Model(encoder.input, Bias(name="head_bias")(table(x, reverse=True)), name=name)


def masked_guesses(network, *, name="masked_guesses"):
    """The logits of a `masked_language_model` at k places only, `(b, k, v)`: what pre-training needs of them.

    It takes `{"tokens": (b, n), "places": (b, k)}` (and what else the encoder takes), and shares all its layers. A
    seventh of the places is guessed, and the table of the vocabulary is the larger part of a small encoder's work.
    """
    hidden, inputs = network.get_layer("head_dense").input, network.input
    places = keras.Input((None,), dtype="int32", name="places")
    x = ops.take_along_axis(hidden, ops.expand_dims(places, -1), axis=1)
    x = network.get_layer("head_norm")(network.get_layer("head_dense")(x))
    x = network.get_layer("head_bias")(network.get_layer("token_embedding")(x, reverse=True))
    inputs = inputs if isinstance(inputs, dict) else {"tokens": inputs}
    return keras.Model({**inputs, "places": places}, x, name=name)


def sentence_embedding(encoder, *, name="sentence_embedding"):
    """A vector of length 1 for each text, `(b, d)`: the mean over its tokens, as sentence-transformers takes it."""
    return keras.Model(
        encoder.input, layers.UnitNormalization(axis=-1, name="unit")(_mean(encoder)), name=name
    )


def _real(encoder):
    return real_places(encoder.input["tokens"] if isinstance(encoder.input, dict) else encoder.input)


def _mean(encoder):
    return layers.GlobalAveragePooling1D(name="pool")(encoder.output, mask=_real(encoder))


def _pooled(encoder):
    first = encoder.output[:, 0]
    return layers.Dense(first.shape[-1], "tanh", kernel_initializer=initial(), name="pooler")(first)


def _dropped(x, dropout):
    check_rate(dropout=dropout)
    return layers.Dropout(dropout, name="head_dropout")(x) if dropout else x
