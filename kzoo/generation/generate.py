"""`generate`: prompts in, what a language model writes after them out.

Shapes: b prompts, k beams, r rows, which are b or b k, s places of the caches, v vocabulary.
"""

import inspect

import numpy as np
from keras import ops

from kzoo.generation.cached import Steps, Whole, check_language_model
from kzoo.generation.step import decoder_of
from kzoo.layers.arguments import check_whole
from kzoo.ops.sampling import IMPOSSIBLE

# Prompts and caches are made so many places long, or twice as many …, where an engine compiles for sizes.
ROUNDED = 16


def generate(
    model,
    prompts,
    max_new_tokens,
    *,
    temperature=0.0,
    top_k=None,
    top_p=None,
    num_beams=1,
    seed=0,
    end_token=None,
    cached=True,
):
    """What a language model writes after each prompt.

    A symbol costs about the same, however many came before: layers keep what they need of these. Where the engine
    compiles, it compiles a step once for each size of batch and text, and loops by itself. A text that outgrows the
    model's positions goes on from the last half of them, read anew.

    Args:
        model: a functional model of symbols `(b, n)` to logits `(b, n, v)` of what follows each, such as
            `kzoo.create_model("gpt2")` or a recurrent one; or of windows `(b, n)` to `(b, v)`.
        prompts: a list of sequences of numbers, of any lengths.
        max_new_tokens: how many symbols to write after each, at most.
        temperature: 0 takes the likeliest symbol; above, one is drawn by its probability, logits being divided by it.
        top_k: only so many of the likeliest symbols are drawn from.
        top_p: only the likeliest symbols are drawn from, as few as have this probability together.
        num_beams: k; above 1, so many texts are kept side by side, the likeliest so far, and the likeliest is given.
        seed: of the draws. One seed draws the same numbers on every engine.
        end_token: the symbol that ends a text. It is the last that is given.
        cached: `False` reads the whole text for each symbol, which any causal model allows.

    Returns:
        A list of int32 arrays, the new symbols of each prompt.

    Raises:
        ValueError: for a prompt that is empty, longer than the model can read or outside its vocabulary, for options
            that contradict each other, and for a model that cannot be read on from.
    """
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, num_beams=num_beams)
    options |= dict(seed=seed, end_token=end_token, cached=cached)
    parts = list(_Writer(model, prompts, max_new_tokens, **options).write())
    rows = np.concatenate(parts, axis=1)[::num_beams]  # the best beam is the first
    return [row[row >= 0] for row in rows]


def stream(model, prompts, max_new_tokens, **options):
    """As `generate`, while it writes: yields int32 `(b,)`, the next symbol of each text, -1 where it has ended.

    Args:
        model, prompts, max_new_tokens: see `generate`.
        **options: see `generate`. Beams are only known at the end, and cannot be had so.
    """
    if options.get("num_beams", 1) != 1:
        raise ValueError(f"beams are only known at the end. Received: num_beams={options['num_beams']}")
    call = inspect.signature(generate).bind(model, prompts, max_new_tokens, **options)
    call.apply_defaults()
    for symbols in _Writer(**call.arguments).write(one_by_one=True):
        yield symbols[:, 0]


class _Writer:
    """One call of `generate`: what it was given, checked, and the texts so far."""

    def __init__(
        self,
        model,
        prompts,
        max_new_tokens,
        *,
        temperature,
        top_k,
        top_p,
        num_beams,
        seed,
        end_token,
        cached,
    ):
        given, model = model, check_language_model(model)
        check_whole(max_new_tokens=max_new_tokens, num_beams=num_beams)
        _check_options(model.output_shape[-1], temperature, top_k, top_p, num_beams, end_token)
        self.steps = Steps(model) if cached and len(model.output_shape) == 3 else Whole(model)
        texts = _checked(prompts, self.steps, model.output_shape[-1])
        self.new, self.end, self.beams = max_new_tokens, end_token, num_beams
        limit, longest = self.steps.max_length, max(map(len, texts))
        if num_beams > 1 and limit is not None and longest + max_new_tokens - 1 > limit:
            raise ValueError(
                f"texts with beams must fit into the model's {limit} positions. Received: a prompt of {longest} "
                f"symbols, max_new_tokens={max_new_tokens}"
            )
        self.texts = [text for text in texts for _ in range(num_beams)]
        self.ended = np.zeros(len(self.texts), bool)
        self.given = {}
        if temperature:
            # A row of numbers for each step, so that a longer text begins as a shorter one does.
            self.draws = np.random.default_rng(seed).random((max_new_tokens, len(texts)), "float32")
            self.given = {"temperature": temperature} | ({} if top_p is None else {"top_p": top_p})
        self.decoder = decoder_of(given, self.steps, top_k=top_k, beams=num_beams, end_token=end_token)

    def write(self, one_by_one=False):
        """Writes, and yields what is new `(r, n)`: one place at a time, or as many as are written at once."""
        limit, done = self.steps.max_length, 0
        while done < self.new and not self.ended.all():
            if limit is not None:
                half = max(limit // 2, 1)
                self.texts = [text[-half:] if len(text) > limit else text for text in self.texts]
            longest = max(map(len, self.texts))
            count = self.new - done if limit is None else min(self.new - done, limit - longest + 1)
            for symbols in self._section(longest, count, done, one_by_one):
                done += symbols.shape[1]
                yield symbols

    def _section(self, longest, count, done, one_by_one):
        """Writes `count` places after texts that the model can read at once, `done` having been written before."""
        first, length = longest, longest + count
        if self.decoder.recompiles:
            first = _rounded(first)
            length = _rounded(first + count)
        seen, place, last, going = first, first, first + count - 1, True
        # The prompt's step has written the first place.
        state = self.decoder.start(self._state(first, length, done, count), first)
        while place < last and going:
            if one_by_one:
                yield self._taken(state, seen, place)
                seen = place + 1
            until = place + 1 if one_by_one else last
            place, state = self.decoder.advance(state, place, until)
            going = place == until  # else all have ended
        if seen <= place:
            yield self._taken(state, seen, place)

    def _state(self, first, length, done, count):
        """The texts, left-padded to `first` places, and what else a step needs."""
        rows = len(self.texts)
        tokens, padding = np.zeros((rows, length), "int32"), np.zeros(rows, "int32")
        for i, text in enumerate(self.texts):
            padding[i] = first - len(text)
            tokens[i, padding[i] : first] = text
        state = {"tokens": tokens} | {name: np.float32(value) for name, value in self.given.items()}
        if padding.any():
            state["padding"] = padding
        if self.end is not None:
            state["ended"] = self.ended.copy()
        if self.given:
            state["draws"] = np.zeros((length, rows), "float32")
            state["draws"][first : first + count] = self.draws[done : done + count]
        if self.beams > 1:
            state["scores"] = np.full((rows // self.beams, self.beams), IMPOSSIBLE, "float32")
            state["scores"][:, 0] = 0.0
        return state

    def _taken(self, state, first, last):
        """Adds what stands in these places to the texts, and gives it `(r, n)` with -1 after each text's end."""
        symbols = np.array(ops.convert_to_numpy(state["tokens"])[:, first : last + 1])
        for i, row in enumerate(symbols):
            if self.ended[i]:
                row[:] = -1
            elif self.end is not None and (ends := np.flatnonzero(row == self.end)).size:
                row[ends[0] + 1 :] = -1
                self.ended[i] = True
            self.texts[i] = np.concatenate([self.texts[i], row[row >= 0]])
        return symbols


def _rounded(size):
    """Up to the next of 16, 32, 48 … places; from 128 on in steps of an eighth, so that few sizes are compiled for."""
    step = max(ROUNDED, 1 << max(size.bit_length() - 3, 0))
    return -(-size // step) * step


def _check_options(vocabulary_size, temperature, top_k, top_p, num_beams, end_token):
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not temperature >= 0:
        raise ValueError(
            f"temperature must be a number, 0 for the likeliest symbol. Received: temperature={temperature!r}"
        )
    if top_k is not None:
        check_whole(top_k=top_k)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be a probability above 0. Received: top_p={top_p!r}")
    drawn = temperature > 0
    if not drawn and (top_k is not None or top_p is not None):
        raise ValueError(
            f"top_k and top_p limit what is drawn: give a temperature above 0. Received: temperature={temperature}, "
            f"top_k={top_k}, top_p={top_p}"
        )
    if drawn and num_beams > 1:
        raise ValueError(
            f"beams are of the likeliest texts, not drawn ones: give temperature=0. Received: "
            f"temperature={temperature}, num_beams={num_beams}"
        )
    if end_token is not None and not 0 <= end_token < vocabulary_size:
        raise ValueError(
            f"end_token must be of the vocabulary, 0 to {vocabulary_size - 1:,}. Received: end_token={end_token!r}"
        )


def _checked(prompts, steps, vocabulary_size):
    """The prompts as int32 arrays.

    Raises:
        ValueError: if there is none, or one is empty, too long, too short for a window or outside the vocabulary.
    """
    least, most = steps.least, steps.max_length
    texts = [np.asarray(prompt) for prompt in prompts]
    if not texts:
        raise ValueError(f"give at least one prompt. Received: prompts={prompts!r}")
    for i, text in enumerate(texts):
        if text.ndim != 1 or (len(text) and text.dtype.kind not in "iu"):
            raise ValueError(
                f"a prompt is a sequence of whole numbers, and prompts a list of them. Received: prompt {i} of shape "
                f"{text.shape}, dtype {text.dtype}"
            )
        if len(text) < least:
            needed = (
                "must not be empty" if least == 1 else f"needs {least} symbols, as many as the model sees"
            )
            raise ValueError(f"a prompt {needed}. Received: {len(text)} symbols in prompt {i}")
        if most is not None and len(text) > most:
            raise ValueError(
                f"a prompt is longer than the {most} places that the model reads: give its last ones. "
                f"Received: {len(text)} symbols in prompt {i}"
            )
        wrong = text[(text < 0) | (text >= vocabulary_size)]
        if len(wrong):
            raise ValueError(
                f"symbols lie from 0 to {vocabulary_size - 1:,}. Received: {wrong[0]} in prompt {i}"
            )
    return [text.astype("int32") for text in texts]
