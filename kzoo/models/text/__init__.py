"""Language models, classifiers of texts and word vectors."""

from kzoo.models.text.invention import made_up
from kzoo.models.text.likelihood import nats_per_symbol
from kzoo.models.text.makemore_bigram import makemore_bigram
from kzoo.models.text.makemore_mlp import makemore_mlp
from kzoo.models.text.makemore_recurrent import makemore_recurrent
from kzoo.models.text.makemore_transformer import makemore_transformer
from kzoo.models.text.makemore_wavenet import makemore_wavenet
from kzoo.models.text.text_classifier import text_classifier
from kzoo.models.text.vectors import WordVectors
from kzoo.models.text.word_vectors import (
    cbow,
    embedding_layer,
    glove,
    skip_gram,
    vectors_of,
)

__all__ = [
    "WordVectors",
    "cbow",
    "embedding_layer",
    "glove",
    "made_up",
    "makemore_bigram",
    "makemore_mlp",
    "makemore_recurrent",
    "makemore_transformer",
    "makemore_wavenet",
    "nats_per_symbol",
    "skip_gram",
    "text_classifier",
    "vectors_of",
]
