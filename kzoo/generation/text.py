"""Text after text: the language model of a folder, with the vocabulary that it learnt with."""

from kzoo.accelerate import accelerate
from kzoo.generation.generate import generate, stream
from kzoo.weights.decoders import text_decoder


def load(folder):
    """The language model of a folder, accelerated, and its vocabulary: `kzoo.weights.decoders.text_decoder`'s."""
    model, tokens = text_decoder(folder)
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
