"""Layers and options whose accelerated twins are compared with the plain ones."""

import keras
import numpy as np
from keras import layers

import kzoo
from kzoo.accelerate import accelerate

ENGINE = keras.config.backend()


def normal(*shape):
    return np.random.default_rng(len(shape) + shape[-1]).normal(size=shape).astype("float32")


def padded(*lengths, steps=6):
    return np.arange(steps)[None] < np.array(lengths)[:, None]


MASKS = {
    "right-padded": padded(6, 3, 1),
    "right-padded with an empty row": padded(4, 0, 6),
    "with holes": np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]], bool),
}
RNN_OPTIONS = {
    "plain": {},
    "sequences": {"return_sequences": True},
    "states": {"return_state": True},
    "sequences and states": {"return_sequences": True, "return_state": True},
    "backwards": {"go_backwards": True, "return_sequences": True},
    "backwards last": {"go_backwards": True, "return_state": True},
    "zero output": {"return_sequences": True, "zero_output_for_mask": True},
    "no bias": {"use_bias": False},
    "frozen": {"trainable": False},
    "bfloat16": {"dtype": "mixed_bfloat16"},
}
CONVOLUTIONS = {
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "strided": {"padding": "same", "strides": 2},
    "even kernel": {"padding": "same", "kernel_size": 2},
    "strided valid": {"strides": 3, "kernel_size": 4},
    "dilated": {"padding": "same", "dilation_rate": 2},
    "groups": {"groups": 2, "activation": "relu"},
    "no bias": {"use_bias": False},
    "bfloat16": {"dtype": "mixed_bfloat16"},
}


def cases():
    """Name, function that makes the layer, arguments of the call, and keyword arguments of the call."""
    sequence = normal(3, 6, 4)
    for name in ("LSTM", "GRU", "SimpleRNN"):
        make = getattr(layers, name)
        for option, settings in RNN_OPTIONS.items():
            yield f"{name} {option}", lambda make=make, s=settings: make(5, **s), sequence, {}
            if option in ("plain", "sequences and states", "no bias", "frozen", "bfloat16"):
                continue
            for which, mask in MASKS.items():
                yield (
                    f"{name} {option}, mask {which}",
                    lambda make=make, s=settings: make(5, **s),
                    sequence,
                    {"mask": mask},
                )
        states = [normal(3, 5)] * (2 if name == "LSTM" else 1)
        for which, mask in {"none": None, **MASKS}.items():
            keywords = {"initial_state": states, "mask": mask}
            both = {"return_state": True, "return_sequences": True}
            yield (
                f"{name} initial state, mask {which}",
                lambda make=make, b=both: make(5, **b),
                sequence,
                keywords,
            )
        for merge in ("concat", "sum", None):
            for which, mask in {"none": None, **MASKS}.items():
                yield (
                    f"Bidirectional {name} {merge}, mask {which}",
                    lambda make=make, m=merge: layers.Bidirectional(
                        make(5, return_sequences=True), merge_mode=m
                    ),
                    sequence,
                    {"mask": mask},
                )
        yield (
            f"{name} stateful",
            lambda make=make: make(5, stateful=True, return_sequences=True),
            sequence,
            {},
        )
        yield f"{name} dropout", lambda make=make: make(5, dropout=0.5, seed=3), sequence, {}
        yield f"{name} hard activation", lambda make=make: make(5, activation="hard_tanh"), sequence, {}
    yield "SimpleRNN relu", lambda: layers.SimpleRNN(5, activation="relu"), sequence, {}
    yield "GRU reset before", lambda: layers.GRU(5, reset_after=False), sequence, {}
    yield "LSTM unrolled", lambda: layers.LSTM(5, unroll=True), sequence, {}
    yield (
        "LSTM regularized",
        lambda: layers.LSTM(5, kernel_regularizer="l2", activity_regularizer="l2"),
        sequence,
        {},
    )
    images = {1: normal(2, 9, 4), 2: normal(2, 7, 8, 4), 3: normal(2, 5, 4, 6, 4)}
    for rank, image in images.items():
        make = getattr(layers, f"Conv{rank}D")
        for option, settings in CONVOLUTIONS.items():
            settings = {"filters": 6, "kernel_size": 3, **settings}
            yield f"Conv{rank}D {option}", lambda make=make, s=settings: make(**s), image, {}
    yield "Conv1D causal", lambda: layers.Conv1D(6, 3, padding="causal", dilation_rate=2), images[1], {}
    first = {"data_format": "channels_first"}
    yield "Conv2D channels first", lambda: layers.Conv2D(6, 3, **first), images[2], {}
    yield "Conv2D regularized", lambda: layers.Conv2D(6, 3, kernel_regularizer="l2"), images[2], {}
    yield "Conv2D constrained", lambda: layers.Conv2D(6, 3, kernel_constraint="unit_norm"), images[2], {}
    for x in (normal(8, 4), *images.values()):
        yield f"BatchNormalization rank {x.ndim}", layers.BatchNormalization, x, {"training": True}
        yield (
            f"BatchNormalization rank {x.ndim}, inference",
            layers.BatchNormalization,
            x,
            {"training": False},
        )
        yield f"LayerNormalization rank {x.ndim}", layers.LayerNormalization, x, {}
        yield f"GroupNormalization rank {x.ndim}", lambda: layers.GroupNormalization(groups=1), x, {}
        yield f"Dense rank {x.ndim}", lambda: layers.Dense(6, activation="tanh"), x, {}
    bare = {"scale": False, "center": False}
    yield "BatchNormalization bare", lambda: layers.BatchNormalization(**bare), images[2], {"training": True}
    yield (
        "BatchNormalization axis 1",
        lambda: layers.BatchNormalization(axis=1),
        images[2],
        {"training": True},
    )
    yield (
        "BatchNormalization axis 2",
        lambda: layers.BatchNormalization(axis=2),
        images[2],
        {"training": True},
    )
    frozen = {"trainable": False}
    yield (
        "BatchNormalization frozen",
        lambda: layers.BatchNormalization(**frozen),
        images[2],
        {"training": True},
    )
    mixed = {"dtype": "mixed_bfloat16"}
    yield (
        "BatchNormalization bfloat16",
        lambda: layers.BatchNormalization(**mixed),
        images[2],
        {"training": True},
    )
    yield (
        "BatchNormalization mask",
        layers.BatchNormalization,
        sequence,
        {"training": True, "mask": MASKS["with holes"]},
    )
    yield "GroupNormalization groups", lambda: layers.GroupNormalization(groups=-1), images[2], {}
    yield "GroupNormalization bare", lambda: layers.GroupNormalization(groups=1, **bare), images[2], {}
    yield "GroupNormalization axis 1", lambda: layers.GroupNormalization(groups=1, axis=1), images[2], {}
    yield "GroupNormalization bfloat16", lambda: layers.GroupNormalization(groups=1, **mixed), images[2], {}
    yield "LayerNormalization bare", lambda: layers.LayerNormalization(**bare), images[2], {}
    yield "LayerNormalization axes", lambda: layers.LayerNormalization(axis=(-2, -1)), images[2], {}
    yield "LayerNormalization bfloat16", lambda: layers.LayerNormalization(**mixed), images[2], {}
    for name in ("relu", "silu", "gelu"):
        yield f"Dense {name}", lambda name=name: layers.Dense(6, activation=name), images[1], {}
    yield "Dense no bias", lambda: layers.Dense(6, use_bias=False), images[1], {}
    yield "Dense bfloat16", lambda: layers.Dense(6, dtype="mixed_bfloat16"), images[1], {}
    yield "Dense lora", lambda: layers.Dense(6, lora_rank=2), images[1], {}
    for equation, shape, bias in (
        ("abc,cde->abde", (None, 3, 5), "de"),
        ("abc,cde->abde", (None, 3, 5), "e"),
        ("abc,cde->abed", (None, 5, 3), None),
        ("abc,bcd->ad", (6,), "d"),
        ("...c,cd->...d", (6, 6), None),
    ):
        settings = {"output_shape": shape, "bias_axes": bias}
        name = f"EinsumDense {equation} {bias}"
        yield name, lambda e=equation, s=settings: layers.EinsumDense(e, **s), sequence, {}
    for rank, shape in {1: (2, 8, 4), 2: (2, 8, 6, 4), 3: (2, 4, 6, 2, 4)}.items():
        make = getattr(layers, f"MaxPooling{rank}D")
        ties = np.round(normal(*shape))  # equal largest values: which of them takes the gradient?
        yield f"MaxPooling{rank}D", lambda make=make: make(2), ties, {}
        yield f"MaxPooling{rank}D overlapping", lambda make=make: make(2, strides=1), ties, {}
    yield "MaxPooling2D with a rest", lambda: layers.MaxPooling2D(2, padding="same"), normal(2, 7, 8, 4), {}
    yield from channel_by_channel(images)
    attention = layers.MultiHeadAttention
    yield "MultiHeadAttention", lambda: Self(attention(2, 3)), sequence, {}
    yield "MultiHeadAttention grouped", lambda: Self(layers.GroupQueryAttention(3, 4, 2)), sequence, {}
    yield from own(sequence)


def own(sequence):
    """kzoo's layers of sequences, also with what the fast way does not know."""
    options = {
        "": {},
        " causal": {"causal": True, "use_bias": False},
        " grouped": {"causal": True, "num_key_value_heads": 1, "position": kzoo.layers.RotaryPosition()},
        " with a bias": {"position": kzoo.layers.ALiBi()},
        " window": {"causal": True, "window": 2},
        " dropout": {"dropout": 0.5, "seed": 1},
        " bfloat16": {"causal": True, "dtype": "mixed_bfloat16"},
    }
    for name, settings in options.items():
        make = lambda s=settings: kzoo.layers.MultiHeadAttention(2, **s)  # noqa: E731
        yield f"attention{name}", make, sequence, {}
    masked = lambda: kzoo.layers.MultiHeadAttention(2, causal=True)  # noqa: E731
    yield "attention masked", masked, sequence, {"mask": MASKS["with holes"]}
    yield "PositionEmbedding", lambda: kzoo.layers.PositionEmbedding(8), sequence, {}


def channel_by_channel(images):
    """Depthwise and separable convolutions, and pooling beside whole windows."""
    for rank in (1, 2):
        for name in ("DepthwiseConv", "SeparableConv"):
            make = getattr(layers, f"{name}{rank}D")
            filters = {"filters": 6} if name == "SeparableConv" else {}
            for option, settings in CONVOLUTIONS.items():
                if option != "groups":
                    for multiplier, text in ((2, "doubled"), (1, "single")):
                        given = {"kernel_size": 3, "depth_multiplier": multiplier, **filters, **settings}
                        case = lambda make=make, s=given: make(**s)  # noqa: E731
                        yield f"{name}{rank}D {text} {option}", case, images[rank], {}
        for kind in ("Max", "Average"):
            make = getattr(layers, f"{kind}Pooling{rank}D")
            for option, settings in {
                "valid": {"pool_size": 3, "strides": 2},
                "same": {"pool_size": 3, "strides": 2, "padding": "same"},
                "odd": {"pool_size": 2, "padding": "same"},
            }.items():
                case = lambda make=make, s=settings: make(**s)  # noqa: E731
                yield f"{kind}Pooling{rank}D {option}", case, images[rank], {}


class Self(layers.Layer):
    """Attention of a sequence to itself."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return self.attention(x, x, use_causal_mask=True)


CASES = {name: case for name, *case in cases()}
JAX = ("MaxPooling", "LayerNormalization", "DepthwiseConv2D", "SeparableConv2D")
CASES = {name: case for name, case in CASES.items() if ENGINE == "torch" or name.startswith(JAX)}
SERVES = ENGINE != "tensorflow"  # there every layer stays plain


def flat(outputs):
    return [np.asarray(keras.ops.convert_to_numpy(y), "float32") for y in keras.tree.flatten(outputs)]


def twins(make, x):
    """Two layers with equal weights, of which the second is accelerated."""
    plain, fast = make(), make()
    for layer in (plain, fast):
        layer.build(x.shape)
    fast.set_weights(
        [normal(7, *w.shape)[0] * 0.3 if w.ndim > 1 else np.abs(w) + 0.1 for w in fast.get_weights()]
    )
    report = accelerate(fast)
    plain.set_weights(fast.get_weights())
    return plain, fast, report
