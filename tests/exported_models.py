"""The models that every format is tried on: the eight of the README's table, and what else is known to be hard.

Weights are drawn by NumPy, the same on every engine, and so large that outputs depend on inputs: at the usual
initial values a deep model gives nearly the same for everything, and a wrong export nearly the same as a right one.
"""

import functools

import keras
import numpy as np
from keras import layers

import kzoo


def drawn(model, seed=0):
    """Gives a model random weights, scaled by what they are for."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        normal, name = generator.standard_normal(weight.shape), weight.path.split("/")[-1]
        if not str(weight.dtype).endswith(("float32", "float16")):
            continue  # seeds
        if "gamma" in name or "scale" in name:
            value = 1 + 0.2 * normal
        elif "variance" in name:
            value = 0.5 + generator.random(weight.shape)
        elif "embedding" in name:
            value = normal
        elif len(weight.shape) < 2:
            value = 0.2 * normal
        else:
            value = normal * np.sqrt(1.5 / max(np.prod(weight.shape[:-1]), 1))
        weight.assign(value)
    return model


def cnn(width=8):
    """Ordinary, depthwise and separable convolutions: `(b, 16, 16, 3)` to `(b, 5)`."""
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.MaxPooling2D()(layers.SeparableConv2D(2 * width, 3, padding="same", activation="silu")(x))
    x = layers.Dense(5, name="scores")(layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x)))
    return drawn(keras.Model(inputs, x, name="cnn"))


def resnet18(width=64):
    """ResNet-18 as for CIFAR: `(b, 32, 32, 3)` to `(b, 10)`; 11.2M weights at its real width of 64."""
    inputs = keras.Input((32, 32, 3), name="image")

    def convolved(x, filters, size, strides=1):
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.ReLU()(convolved(inputs, width, 3))
    for stage in range(4):
        for block in range(2):
            filters, strides = width * 2**stage, 2 if stage and not block else 1
            short = x if x.shape[-1] == filters else convolved(x, filters, 1, strides)
            y = convolved(layers.ReLU()(convolved(x, filters, 3, strides)), filters, 3)
            x = layers.ReLU()(layers.Add()([short, y]))
    x = layers.Dense(10, name="scores")(layers.GlobalAveragePooling2D()(x))
    return drawn(keras.Model(inputs, x, name="resnet18"))


def unet(width=6):
    """Down and up again with transposed convolutions: `(b, 16, 16, 3)` to `(b, 16, 16, 2)`."""
    inputs = keras.Input((16, 16, 3), name="image")
    x, skips = inputs, []
    for filters in (width, 2 * width):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(4 * width, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((2 * width, width), reversed(skips)):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
        x = layers.Concatenate()([x, skip])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.LayerNormalization()(x))
    return drawn(keras.Model(inputs, layers.Conv2D(2, 1, name="mask")(x), name="unet"))


def recurrent(layer, name):
    """A recurrent layer over any length: `(b, n, 5)` to `(b, n, 3)` and `(b, 2)`."""
    inputs = keras.Input((None, 5), name="signal")
    x = layer(inputs)
    outputs = [
        layers.Dense(3, name="steps")(x),
        layers.Dense(2, name="whole")(layers.GlobalMaxPooling1D()(x)),
    ]
    return drawn(keras.Model(inputs, outputs, name=name))


def lstm(width=8):
    """One LSTM."""
    return recurrent(layers.LSTM(width, return_sequences=True), "lstm")


def gru(width=8):
    """One GRU."""
    return recurrent(layers.GRU(width, return_sequences=True), "gru")


def bilstm(width=6):
    """An LSTM in each direction."""
    return recurrent(layers.Bidirectional(layers.LSTM(width, return_sequences=True)), "bilstm")


def transformer(width=16):
    """An encoder block with exact GELU (made of the error function) over tokens of any length: `(b, n)` to `(b, 4)`."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(30, width)(tokens)
    normal = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, width // 2)(normal, normal)
    y = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.LayerNormalization()(x + layers.Dense(width)(y))
    x = layers.Dense(4, name="scores")(layers.GlobalAveragePooling1D()(x))
    return drawn(keras.Model(tokens, x, name="transformer"))


def two_inputs(width=8):
    """A dict of numbers and tokens to a dict of a score and class probabilities."""
    inputs = {
        "numbers": keras.Input((4,), name="numbers"),
        "tokens": keras.Input((7,), dtype="int32", name="tokens"),
    }
    x = layers.Flatten()(layers.Embedding(11, 4)(inputs["tokens"]))
    x = layers.Concatenate()([layers.Dense(width, "tanh")(inputs["numbers"]), layers.Dense(width)(x)])
    outputs = {"score": layers.Dense(1)(x), "label": layers.Dense(3, "softmax")(x)}
    return drawn(keras.Model(inputs, outputs, name="two_inputs"))


EIGHT = {
    "CNN": cnn,
    "ResNet-18": resnet18,
    "U-Net": unet,
    "LSTM": lstm,
    "GRU": gru,
    "BiLSTM": bilstm,
    "Transformer encoder": transformer,
    "two inputs": two_inputs,
}


def smallest_of_each_family():
    """Name to a function that makes it: of each family that was published for one image size, its smallest model."""
    from kzoo.models import catalog

    known = {name: cost for name, cost in catalog.costs().items() if "multiply_adds" in cost}
    found = {}
    for name in sorted(known, key=lambda name: known[name]["parameters"]):
        found.setdefault(catalog.family_of(name), name)
    return {
        name: functools.partial(lambda name: drawn(kzoo.create_model(name)), name)
        for name in sorted(found.values())
    }


WIDTHS = {  # of the README's table; the tests' are narrower
    **{"CNN": 48, "ResNet-18": 64, "U-Net": 24, "LSTM": 128, "GRU": 128, "BiLSTM": 96},
    **{"Transformer encoder": 128, "two inputs": 64},
}


def grouped():
    """Group normalisation and grouped convolutions."""
    inputs = keras.Input((12, 12, 4), name="image")
    x = layers.Conv2D(8, 3, groups=2, padding="same", activation="relu")(inputs)
    x = layers.GroupNormalization(4)(x)
    x = layers.Conv2D(8, 3, groups=4)(x)
    return drawn(keras.Model(inputs, layers.GlobalMaxPooling2D(name="features")(x), name="grouped"))


def resized():
    """Bilinear resizing, upsampling and hard swish."""
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Resizing(8, 8)(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="hard_silu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.UpSampling2D(2)(x))
    return drawn(keras.Model(inputs, layers.Conv2D(2, 3, name="map")(x), name="resized"))


def masked():
    """A masked embedding into an LSTM and masked attention."""
    tokens = keras.Input((9,), dtype="int32", name="tokens")
    x = layers.Embedding(6, 8, mask_zero=True)(tokens)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    x = layers.Dense(3, name="scores")(layers.LSTM(8)(x))
    return drawn(keras.Model(tokens, x, name="masked"))


def half():
    """Mixed precision, and Sequential."""
    policy = keras.DTypePolicy("mixed_float16")
    stack = [layers.Conv2D(6, 3, dtype=policy), layers.BatchNormalization(dtype=policy)]
    stack += [layers.Flatten(dtype=policy), layers.Dense(4, dtype=policy, name="scores")]
    return drawn(keras.Sequential([keras.Input((8, 8, 2)), *stack], name="half"))


@keras.saving.register_keras_serializable("exported_models")
def squared_relu(x):
    """An activation of the user's own."""
    return keras.ops.square(keras.ops.relu(x))


@keras.saving.register_keras_serializable("exported_models")
class Sliding(keras.Model):
    """A subclassed model with a causal convolution over any length, and no `training` argument."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolved = layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="mish")
        self.squared = layers.Dense(5, activation=squared_relu)
        self.scores = layers.Dense(2)

    def call(self, x):
        return self.scores(self.squared(self.convolved(x)))


def subclassed():
    """`Sliding`, built for any batch and length."""
    model = Sliding(name="subclassed")
    model(keras.Input((None, 3)))  # not on numbers: a model remembers the length of those
    return drawn(model)


HARD = {
    "grouped": grouped,
    "resized": resized,
    "masked": masked,
    "mixed precision": half,
    "subclassed": subclassed,
}
