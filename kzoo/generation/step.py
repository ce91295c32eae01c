"""One step of writing as a function of tensors, and where its compiled form is kept.

The state of a step is a dictionary: `tokens` int32 `(r, s)`, what was read and written; `kept`, what the layers keep
of it; `padding` `(r,)`, if rows have other lengths; `ended` boolean `(r,)`, if texts may end; to draw, `draws`
`(s, r)`, by the place that is written, with `temperature` and perhaps `top_p`; with beams their `scores` `(b, k)`.

Shapes: b prompts, k beams, r rows, which are b or b k, s places, v vocabulary.
"""

import keras
from keras import ops

from kzoo import backend
from kzoo.ops.sampling import extend_beams, likeliest, sample


def step_of(steps, top_k=None, beams=1, end_token=None):
    """A function of the state, of the first place to read and of how many to read, that writes one more place.

    Args:
        steps: a `Steps` or its like.
        top_k: only so many of the likeliest symbols are drawn from.
        beams: k.
        end_token: the symbol that ends a text.
    """
    choose = _extend if beams > 1 else _choose

    def step(state, first, count):
        rows, length = state["tokens"].shape
        kept = state["kept"] if "kept" in state else steps.empty(rows, length)
        tokens = ops.slice(state["tokens"], (0, first), (rows, count))
        logits, kept = steps(tokens, first, kept, state.get("padding"))
        state, symbols = choose(state | {"kept": kept}, logits, first + count, top_k, end_token)
        if end_token is not None:
            state["ended"] = ops.logical_or(state["ended"], ops.equal(symbols, end_token))
        written = backend.written_at(state["tokens"], ops.expand_dims(symbols, 1), first + count)
        return state | {"tokens": written}

    return step


def _choose(state, logits, place, top_k, end_token):
    """The likeliest symbol of each row, or one drawn; after its end, the end again."""
    if "draws" in state:
        options = {"temperature": state["temperature"], "top_p": state.get("top_p"), "top_k": top_k}
        symbols = sample(logits, ops.take(state["draws"], place, axis=0), **options)
    else:
        symbols = likeliest(logits)
    if end_token is not None:
        symbols = ops.where(state["ended"], end_token, symbols)
    return state, symbols


def _extend(state, logits, place, top_k, end_token):
    """The best continuations of each prompt's beams, and the rows that they come from."""
    b, k = state["scores"].shape
    ended = ops.reshape(state["ended"], (b, k)) if end_token is not None else None
    logits = ops.reshape(logits, (b, k, logits.shape[-1]))
    scores, beams, symbols = extend_beams(state["scores"], logits, ended, end_token)
    rows = ops.reshape(beams + ops.expand_dims(ops.arange(b, dtype="int32") * k, 1), (-1,))
    # Beams of one prompt have its padding, whatever they come from.
    moved = {name: value for name, value in state.items() if name in ("tokens", "kept", "ended")}
    moved = keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), moved)
    return state | moved | {"scores": scores}, ops.reshape(symbols, (-1,))


def decoder_of(model, steps, **options):
    """The compiled step of a model, made once for these options and these weights.

    It is kept on the model, without Keras's knowledge, and goes with it; files know nothing of it.
    """
    variables = model.variables
    key = type(steps), tuple(sorted(options.items())), tuple(map(id, variables))
    decoders = vars(model).get("_kzoo_decoders")
    if decoders is None:
        decoders = {}
        object.__setattr__(model, "_kzoo_decoders", decoders)
    if key not in decoders or not decoders[key].recompiles:
        decoders[key] = backend.Decoder(step_of(steps, **options), variables)
    return decoders[key]
