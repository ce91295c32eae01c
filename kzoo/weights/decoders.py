"""A GPT with its vocabulary, from a folder: what the recipe `language_model` left, or GPT-2 in Transformers' files.

```python
network, tokens = text_decoder("runs/language_model/tinyshakespeare-gpt-torch")
network, tokens = text_decoder("path/to/gpt2")  # config.json, model.safetensors, tokenizer.json
```
"""

import json
from pathlib import Path

import keras

from kzoo.data import load_tokens
from kzoo.data.tokens import check_vocabulary
from kzoo.models.text import bert
from kzoo.models.text.gpt import gpt
from kzoo.runs import CARD
from kzoo.weights.load import load_weights


def holds_decoder(source):
    """Whether this is a folder that `text_decoder` reads, and not an encoder's."""
    folder = Path(source)
    if (folder / "config.json").is_file():
        return json.loads((folder / "config.json").read_text()).get("model_type") == "gpt2"
    if (folder / CARD).is_file():
        return json.loads((folder / CARD).read_text())["model"] not in bert.SIZES
    return (folder / "model.keras").is_file()


def text_decoder(folder):
    """A language model and the vocabulary that belongs to it.

    Raises:
        FileNotFoundError: if the folder has no model, or no vocabulary.
        ValueError: if they do not belong together, or the checkpoint is of another kind.
    """
    folder = Path(folder)
    ours = (folder / "model.keras").is_file()
    if ours:
        network = keras.models.load_model(folder / "model.keras", compile=False)
    elif (folder / "config.json").is_file():
        network = _of_checkpoint(folder)
    else:
        raise FileNotFoundError(
            "a language model's folder has model.keras, as kzoo run language_model leaves it, or config.json and "
            f"model.safetensors. Received: {str(folder)!r}"
        )
    tokens = load_tokens(folder / "tokenizer.json")
    check_vocabulary(tokens, network, padded=not ours)  # published ones may have rows more than entries
    return network, tokens


def _of_checkpoint(folder):
    told = json.loads((folder / "config.json").read_text())
    expected = dict(model_type="gpt2", activation_function="gelu_new", scale_attn_by_inverse_layer_idx=False)
    for key, value in expected.items():
        if told.get(key, value) != value:
            raise ValueError(f"the checkpoint must have {key}={value!r}. Received: {told[key]!r} in {folder}")
    dim, hidden_dim = told["n_embd"], told.get("n_inner") or 4 * told["n_embd"]
    network = gpt(
        told["vocab_size"],
        max_sequence_length=told["n_positions"],
        dim=dim,
        depth=told["n_layer"],
        num_heads=told["n_head"],
        mlp_ratio=hidden_dim / dim,
        epsilon=told.get("layer_norm_epsilon", 1e-5),
    )
    load_weights(network, "gpt", "transformers", folder / "model.safetensors")
    return network
