"""A trained language model read a few symbols at a time: what its layers keep of the earlier ones goes in and out.

`Steps` walks through the graph of the model, layer by layer: attention keeps keys and values, recurrent layers their
states, positions know where they are, and the other layers, which see one place at a time, do what they always do.
`Whole` stands in for it where a model cannot be read so, and reads all of the text anew.

Shapes: b batch, t symbols that are read, s places of the caches, v vocabulary.
"""

import keras
from keras import layers, ops

from kzoo import backend
from kzoo.layers import CachedAttention, MultiHeadAttention, PositionEmbedding, SinePositionEncoding
from kzoo.layers.arguments import check_whole
from kzoo.models.nodes import functional, nodes_of

POSITIONS = (PositionEmbedding, SinePositionEncoding)
RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)
# Layers that see one place at a time. Subclasses may do otherwise.
BY_PLACE = {
    *(layers.Embedding, layers.ReversibleEmbedding, layers.Dense, layers.LayerNormalization, layers.Dropout),
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU, layers.Identity),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Rescaling),
    *(layers.RMSNormalization, layers.SpatialDropout1D, layers.GaussianNoise, layers.GaussianDropout),
}


def places(model):
    """How long a text the model can read, by its positions or its input; `None` without an end."""
    known = [layer.embeddings.shape[0] for layer in model.layers if isinstance(layer, PositionEmbedding)]
    return min([*known, *(size for size in model.input_shape[1:2] if size is not None)], default=None)


def check_language_model(model):
    """The model as a functional one.

    Raises:
        ValueError: if it does not make logits of one sequence of numbers.
    """
    model = functional(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 2:
        shapes = [tuple(x.shape) for x in (*model.inputs, *model.outputs)]
        raise ValueError(
            f"a language model takes one input (b, n) and gives logits. Received: shapes={shapes}"
        )
    return model


class Steps:
    """Reads some symbols after others: `(b, t)` to the logits of what follows, and to what is kept.

    Args:
        model: a functional language model, `(b, n)` to `(b, n, v)`.

    Attributes:
        max_length: how long a text it can read, or `None`.
        least: how long a prompt must be.

    Raises:
        ValueError: for a layer that mixes places in a way of its own.
    """

    least = 1

    def __init__(self, model):
        model = check_language_model(model)
        self.max_length = places(model)
        self._input, self._output = id(model.inputs[0]), id(model.outputs[0])
        nodes = [node for node in nodes_of(model) if not node.is_input]
        self._parts = [Part(node) for node in nodes]
        self._kept = [part for part in self._parts if part.state is not None]

    def empty(self, batch_size, length):
        """What is kept before the first symbol: a list of tuples of tensors."""
        return [part.state.empty(batch_size, length) for part in self._kept]

    def names(self):
        """A name of each tensor that is kept, in the structure of `empty`."""
        return [tuple(f"{part.layer.name}_{name}" for name in part.state.names) for part in self._kept]

    def __call__(self, tokens, index, kept, padding=None):
        """Reads on.

        Args:
            tokens: `(b, t)`.
            index: how many places were read before these, padding included: a number or a scalar tensor.
            kept: what `empty` or an earlier call gave; it is used up.
            padding: `(b,)`, how many of each row's first places are none of its text.

        Returns:
            Logits `(b, v)` of what follows the last place, and what is kept now.
        """
        place, remaining, left = _Place(index, padding, tokens), iter(kept), []
        values, plain = {self._input: tokens}, isinstance(tokens, keras.KerasTensor)
        for part in self._parts:
            x = part.inputs_of(values)
            if part.output == self._output:
                x = [one[:, -1:] for one in x]
            if part.state is not None:
                y, state = part.state(x[0], next(remaining), place)
                left.append(state)
            elif part.positions:
                y = part.layer(x[0], offset=place.first)
            else:
                y = (part.layer if plain else part.lean)(*part.packed(x), **part.settings)
            values[part.output] = y
        return values[self._output][:, -1], left


class _Place:
    """Where the symbols that are read now stand."""

    def __init__(self, index, padding, tokens):
        self.index, self.padding, self.count = index, padding, ops.shape(tokens)[1]
        self.first = index if padding is None else index - padding

    def real(self, length, start=0):
        """Which of the places from `start` on hold text: `(b, length)`, or `None` for all."""
        if self.padding is None:
            return None
        return ops.arange(length, dtype="int32") + start >= ops.expand_dims(self.padding, 1)


class Part:
    """A call of a layer in the graph of the model."""

    def __init__(self, node):
        layer = self.layer = node.operation
        self.inputs, self.output = [id(x) for x in node.input_tensors], id(node.output_tensors[0])
        self.listed = bool(node.arguments.args) and isinstance(node.arguments.args[0], list | tuple)
        self.settings = {k: v for k, v in node.arguments.kwargs.items() if v is not None and k != "training"}
        self.positions = isinstance(layer, POSITIONS)
        self.state = None
        alone = len(self.inputs) == 1 and not self.settings and len(node.output_tensors) == 1
        if isinstance(layer, MultiHeadAttention) and alone and layer.causal:
            self.state = _Attention(layer)
        elif type(layer) in RECURRENT and alone and layer.return_sequences and not layer.go_backwards:
            self.state = _Recurrent(layer)
        elif not (self.positions and alone) and not _by_place(layer):
            raise ValueError(
                f"generation cannot go on from the layer {layer.name!r}: it is no layer that sees one place at a time, "
                "no causal kzoo.layers.MultiHeadAttention and no recurrent layer that gives sequences. Give "
                f"cached=False to read the whole text for each symbol. Received: a {type(layer).__name__}"
            )
        self.lean = backend.lean_call(layer)

    def inputs_of(self, values):
        return [values[key] for key in self.inputs]

    def packed(self, inputs):
        return [inputs] if self.listed else inputs


def _by_place(layer):
    if isinstance(layer, layers.LayerNormalization | layers.RMSNormalization):
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        return type(layer) in BY_PLACE and list(axes) in ([-1], [2])
    return type(layer) in BY_PLACE


class _Attention:
    """Keeps the keys and values of all places."""

    names = ("keys", "values")

    def __init__(self, layer):
        self.layer, self._lean = layer, backend.lean_call(layer)

    def empty(self, batch_size, length):
        return self.layer.empty_cache(batch_size, length)

    def __call__(self, x, cache, place):
        if isinstance(x, keras.KerasTensor):
            output, *cache = CachedAttention(self.layer, name=self.layer.name)(x, *cache, place.index)
            return output, cache
        mask = place.real(ops.shape(cache[0])[1])
        return self._lean(x, key_mask=mask, cache=cache, cache_index=place.index)


class _Recurrent:
    """Keeps the states of the cell."""

    def __init__(self, layer):
        self.cell = layer.cell
        self.names = tuple(f"state_{i}" for i in range(len(keras.tree.flatten(layer.cell.state_size))))
        # The same cell in a loop that also gives its states.
        self._loop = layers.RNN(
            layer.cell, return_sequences=True, return_state=True, dtype=layer.dtype_policy
        )

    def empty(self, batch_size, length):
        return tuple(self.cell.get_initial_state(batch_size))

    def __call__(self, x, states, place):
        read_before = not isinstance(place.index, int) or place.index > 0
        mask = None if read_before and x.shape[1] == 1 else place.real(place.count, place.index)
        y, *states = self._loop(x, initial_state=list(states), mask=mask)
        return y, tuple(states)


class Whole:
    """As `Steps`, for any causal model: keeps the text, and reads all of it again for each symbol.

    A model that sees a window, `(b, n)` to `(b, v)`, reads the last n symbols, so that prompts need as many.
    """

    def __init__(self, model):
        self.model = check_language_model(model)
        self.window = len(model.outputs[0].shape) == 2
        self.max_length = None if self.window else places(model)
        self.least = model.input_shape[1] if self.window else 1

    def empty(self, batch_size, length):
        return [(ops.zeros((batch_size, length), "int32"),)]

    def __call__(self, tokens, index, kept, padding=None):
        text = backend.written_at(kept[0][0], tokens, index)  # (b, s)
        last = index + ops.shape(tokens)[1] - 1
        length = (
            self.least
            if self.window
            else self.model.input_shape[1] or min(text.shape[1], self.max_length or text.shape[1])
        )
        # From left-padded rows to what the model takes: the window, or rows padded on the right.
        first = last - length + 1 if self.window else (0 if padding is None else ops.expand_dims(padding, 1))
        columns = ops.expand_dims(ops.arange(length, dtype="int32"), 0) + first
        columns = ops.broadcast_to(columns, (text.shape[0], length))
        rows = ops.take_along_axis(text, ops.clip(columns, 0, text.shape[1] - 1), axis=1)
        logits = self.model(rows, training=False)
        if not self.window:
            at = ops.reshape(ops.cast(last if padding is None else last - padding, "int32"), (-1, 1, 1))
            at = ops.broadcast_to(at, (text.shape[0], 1, logits.shape[-1]))
            logits = ops.take_along_axis(logits, at, axis=1)[:, 0]
        return logits, [(text,)]


def step_model(model, max_length, batch_size=1, length=None):
    """A Keras model of one step of a trained one, to export or to serve: its caches go in and out.

    It takes a dictionary of `tokens` `(b, t)`, `index` `(b,)`, how many symbols were read before them (the same number
    for all), and the caches, zeros at first; and gives one of `logits` `(b, v)` and the caches after them, under their
    names with `next_` before. It shares its weights with the trained model.

    Args:
        model: a language model that `kzoo.generate` can cache.
        max_length: places of the caches.
        batch_size: b.
        length: t; by default any, so that one model reads prompts and goes on from them.

    Raises:
        ValueError: if the model cannot be cached, or has fewer positions.
    """
    check_whole(max_length=max_length, batch_size=batch_size)
    steps = Steps(model)
    if steps.max_length is not None and max_length > steps.max_length:
        raise ValueError(
            f"the model has {steps.max_length} positions, and max_length must not be above. "
            f"Received: max_length={max_length}"
        )
    inputs = {
        "tokens": keras.Input(batch_shape=(batch_size, length), dtype="int32", name="tokens"),
        "index": keras.Input(batch_shape=(batch_size,), dtype="int32", name="index"),
    }
    kept = []
    for names, tensors in zip(steps.names(), steps.empty(batch_size, max_length)):
        made = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=n) for n, x in zip(names, tensors)]
        inputs |= dict(zip(names, made))
        kept.append(tuple(made))
    logits, left = steps(inputs["tokens"], inputs["index"], kept)
    outputs = {"logits": logits}
    for names, tensors in zip(steps.names(), left):
        outputs |= {f"next_{name}": tensor for name, tensor in zip(names, tensors)}
    return keras.Model(inputs, outputs, name=f"{model.name}_step")
