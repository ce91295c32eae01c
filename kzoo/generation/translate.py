"""`translate`: sentences in, what an encoder-decoder writes for them out.

```python
written = kzoo.generation.translate(model, [tokens.encode("A man reads.")], 60, begin=2, end=3, num_beams=4)
```

The encoder reads once. The decoder keeps keys and values of what it wrote, and those of the source: `CrossSteps` is to
it what `Steps` is to a language model, and the step that is compiled is the same.

Shapes: b sentences, k beams, r rows, which are b k, s source length, t places of the caches, v vocabulary, d dim.
"""

import keras
import numpy as np
from keras import ops

from kzoo import backend
from kzoo.generation.cached import Part, Steps
from kzoo.generation.step import decoder_of
from kzoo.layers.arguments import check_whole
from kzoo.models.nodes import functional, nodes_of
from kzoo.models.text.translation import crosses
from kzoo.ops.sampling import IMPOSSIBLE

ROUNDED = 16  # lengths are so many places, or twice as many …, so that an engine compiles for few of them


def translate(
    model, sources, max_new_tokens, *, begin, end, num_beams=1, length_penalty=0.6, batch_size=32, pad=0
):
    """What a model writes for each source.

    Args:
        model: a functional model of `{"source": (b, s), "target": (b, t)}` to logits `(b, t, v)`, such as
            `kzoo.create_model("translation_small")`.
        sources: a list of sequences of numbers, of any lengths.
        max_new_tokens: how many symbols to write for each, at most.
        begin: the symbol that every target begins with.
        end: the symbol that ends one.
        num_beams: k; with 1 the likeliest symbol is taken each time.
        length_penalty: a in Wu et al. (2016), arXiv:1609.08144, equation 14: of the beams, that is given whose
            log-probability over `((5 + length) / 6) ** a` is highest. With 0 short ones are preferred.
        batch_size: sentences that are translated at once, those of about one length.
        pad: the symbol that fills sources up.

    Returns:
        A list of int32 arrays: the symbols of each target, without `begin` and `end`.

    Raises:
        ValueError: if a source is empty or outside the vocabulary, or the model cannot be read on from.
    """
    check_whole(max_new_tokens=max_new_tokens, num_beams=num_beams, batch_size=batch_size)
    model = _checked(model)
    v = model.output_shape[-1]
    texts = [np.asarray(source) for source in sources]
    for i, text in enumerate(texts):
        if text.ndim != 1 or not len(text) or text.min() < 0 or text.max() >= v:
            raise ValueError(
                f"a source is a sequence of at least one number from 0 to {v - 1:,}. Received: source {i}: {text}"
            )
    for name, symbol in (("begin", begin), ("end", end)):
        if not 0 <= symbol < v:
            raise ValueError(f"{name} must be of the vocabulary, 0 to {v - 1:,}. Received: {name}={symbol!r}")
    steps = CrossSteps(model)
    decoder = decoder_of(model, steps, beams=num_beams, end_token=end)
    order = np.argsort([len(text) for text in texts], kind="stable")
    written = [None] * len(texts)
    for start in range(0, len(texts), batch_size):
        chosen = order[start : start + batch_size]
        length = -(-max(len(texts[i]) for i in chosen) // ROUNDED) * ROUNDED
        rows = np.full((len(chosen), length), pad, "int32")
        for row, i in zip(rows, chosen):
            row[: len(texts[i])] = texts[i]
        for i, row in zip(
            chosen, _written(steps, decoder, rows, max_new_tokens, begin, end, num_beams, length_penalty)
        ):
            written[i] = row
    return written


def _written(steps, decoder, rows, count, begin, end, k, penalty):
    """The best target of each row of sources."""
    b = len(rows)
    state = {
        "tokens": np.full((b * k, count + 1), end, "int32"),
        "kept": steps.read(rows, k, count + 1),
        "ended": np.zeros(b * k, bool),
    }
    state["tokens"][:, 0] = begin
    if k > 1:
        state["scores"] = np.full((b, k), IMPOSSIBLE, "float32")
        state["scores"][:, 0] = 0.0
    state = decoder.start(state, 1)
    _, state = decoder.advance(state, 1, count)
    tokens = ops.convert_to_numpy(state["tokens"])[:, 1:].reshape(b, k, count)
    # What stands after the first end is the end again, or was never written and holds it too.
    lengths = np.where((tokens == end).any(-1), (tokens == end).argmax(-1), count)
    best = np.zeros(b, int)
    if k > 1:
        scores = ops.convert_to_numpy(state["scores"])
        best = np.argmax(scores / ((6.0 + lengths) / 6.0) ** penalty, axis=-1)  # the end counts as a symbol
    return [tokens[i, j, : lengths[i, j]] for i, j in enumerate(best)]


class CrossSteps(Steps):
    """Reads the target of an encoder-decoder a few symbols at a time; what the encoder made of the source is kept too.

    Args:
        model: see `translate`.

    Raises:
        ValueError: for a layer of the decoder that mixes places in a way of its own.
    """

    def __init__(self, model):
        source, target = (model.input[name] for name in ("source", "target"))
        self.max_length = None
        self._input, self._output = id(target), id(model.outputs[0])
        written, parts, self._memories = {id(target)}, [], []
        for node in nodes_of(model):
            if node.is_input or not any(id(x) in written for x in node.input_tensors):
                continue
            written |= {id(x) for x in node.output_tensors}
            if crosses(node):
                memory, mask = node.input_tensors[1], node.arguments.kwargs.get("key_mask")
                self._memories.append((memory, mask))
                parts.append(_Across(node, mask is not None))
            else:
                parts.append(Part(node))
        self._parts = parts
        self._kept = [part for part in parts if part.state is not None]
        flat = [x for pair in self._memories for x in pair if x is not None]
        self._encoder = keras.Model(source, flat)

    def read(self, rows, beams, length):
        """What is kept when the sources `(b, s)` were read and nothing was written yet, each row `beams` times."""
        kept, batch = [], len(rows) * beams
        with backend.no_grad():
            found = iter(self._encoder(ops.convert_to_tensor(rows), training=False))
            for part in self._kept:
                if not isinstance(part, _Across):
                    kept.append(tuple(part.state.empty(batch, length)))
                    continue
                made = part.layer.keys_and_values(next(found))
                made = (*made, next(found)) if part.masked else made
                kept.append(tuple(ops.repeat(x, beams, axis=0) for x in made))
        return kept


class _Across:
    """A call of a cross-attention, whose keys, values and mask stay what they are."""

    positions, listed, settings = False, False, {}

    def __init__(self, node, masked):
        self.layer, self.masked, self.state = node.operation, masked, self
        self.inputs, self.output = [id(node.input_tensors[0])], id(node.output_tensors[0])

    def inputs_of(self, values):
        return [values[key] for key in self.inputs]

    def __call__(self, x, kept, place):
        keys, values, *mask = kept
        output, _ = self.layer(x, key_mask=mask[0] if mask else None, cache=(keys, values))
        return output, kept


def _checked(model):
    model = functional(model)
    names = set(model.input) if isinstance(model.input, dict) else None
    if names != {"source", "target"} or len(model.outputs) != 1 or len(model.output_shape) != 3:
        raise ValueError(
            "translation needs a model of {'source', 'target'} to logits (b, t, v). Received: inputs "
            f"{sorted(names) if names else model.input_shape}, outputs {model.output_shape}"
        )
    return model
