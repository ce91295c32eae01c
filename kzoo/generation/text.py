"""Text after text: the language model that a run left, with the vocabulary that it learnt with."""

from pathlib import Path

import keras

from kzoo.accelerate import accelerate
from kzoo.data import load_tokens
from kzoo.generation.generate import generate, stream


def load(folder):
    """The language model of a run folder, accelerated, and its vocabulary.

    Raises:
        FileNotFoundError: if the folder has no model or no vocabulary.
        ValueError: if they do not belong together.
    """
    model, vocabulary = (Path(folder) / name for name in ("model.keras", "tokenizer.json"))
    for path in (model, vocabulary):
        if not path.is_file():
            raise FileNotFoundError(
                "a language model's run has model.keras and tokenizer.json: kzoo run language_model leaves them. "
                f"Received: {folder}, without {path.name}"
            )
    tokens, model = load_tokens(vocabulary), keras.models.load_model(model, compile=False)
    size = model.output_shape[-1] if isinstance(model.output_shape, tuple) else None
    if size != tokens.vocabulary_size:
        raise ValueError(
            f"{vocabulary} is not the vocabulary that the model beside it has learnt with. Received: "
            f"{tokens.vocabulary_size:,} symbols, and a model whose outputs are {model.output_shape}"
        )
    accelerate(model)
    return model, tokens


def write(model, tokens, prompt, count, **options):
    """The text that a model writes after a prompt; `options` are those of `kzoo.generate`."""
    return tokens.decode(generate(model, [tokens.encode(prompt)], count, **options)[0])


def stream_text(model, tokens, prompt, count, **options):
    """The same while it is written: yields what each symbol adds, a character of several symbols with its last."""
    waiting = []
    for symbols in stream(model, [tokens.encode(prompt)], count, **options):
        waiting.append(int(symbols[0]))
        text = tokens.decode(waiting)
        if not text.endswith("\ufffd"):
            yield text
            waiting = []
    if waiting:
        yield tokens.decode(waiting)
