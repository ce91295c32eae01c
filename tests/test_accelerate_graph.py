"""`kzoo.accelerate` on PyTorch goes through a model's graph without Keras's questions and comes to Keras's answers."""

import keras
import numpy as np
import pytest
from accelerate_cases import ENGINE, normal
from keras import layers

import kzoo
from kzoo.autodiff import value_and_grad

pytestmark = pytest.mark.skipif(ENGINE != "torch", reason="the other engines compile the graph")


class Several(layers.Layer):
    """Two inputs, two outputs, and a loss of its own."""

    def call(self, a, b, training=False):
        self.add_loss(keras.ops.mean(a) * 0.1)
        return (a + b, a - b) if training else (a * b, a)


def network():
    """Branches, shared layers, several inputs and outputs, constants, a nested model and arguments of a call."""
    image, vector = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="vector")
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", name="conv")(image))
    x = layers.Add(name="sum")([x, layers.ReLU(name="relu")(x)])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.MaxPooling2D(name="max")(x))
    shared = layers.Dense(4, name="shared")
    a, b = Several(name="several")(shared(x), shared(vector))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh"), layers.Dropout(0.5, seed=1)])
    c = layers.Dropout(0.5, seed=2, name="always")(inner(a * 2.0 + 1.0), training=True)
    return keras.Model([image, vector], {"c": c, "sum": layers.Concatenate(name="both")([a, b])})


INPUTS = [normal(4, 8, 8, 3), normal(4, 4)]


def twins():
    plain, fast = network(), network()
    fast.set_weights(plain.get_weights())
    kzoo.accelerate(fast)
    return plain, fast


@pytest.fixture
def asked(monkeypatch):
    """Names of the layers that are called through Keras's questions."""
    names, original = [], keras.Layer.__call__

    def call(self, *args, **kwargs):
        names.append(self.name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(keras.Layer, "__call__", call)
    return names


@pytest.mark.parametrize("training", [False, True, None])
def test_outputs_gradients_statistics_and_losses_are_the_plain_models(training):
    results = []
    for model in twins():
        x = [keras.ops.convert_to_tensor(x) for x in INPUTS]

        def loss(x, model=model):
            outputs = model(x, training=training)
            return sum(keras.ops.sum(keras.ops.sin(y)) for y in outputs.values()) + sum(model.losses)

        value, slopes = value_and_grad(loss)(x)
        _, gradients = value_and_grad(lambda x=x, loss=loss: loss(x), model.trainable_variables)()
        arrays = [value, *slopes, *gradients, *model.losses]
        results.append([keras.ops.convert_to_numpy(a) for a in arrays] + model.get_weights())
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_only_what_is_out_of_the_ordinary_is_called_through_keras(asked):
    _, fast = twins()
    asked.clear()
    fast(INPUTS)
    nested = {layer.name for layer in fast.layers if isinstance(layer, keras.Sequential)}
    assert set(asked) == {fast.name, *nested}


def test_a_mask_a_hook_quantization_or_a_regularizer_put_on_later_is_seen(asked):
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True, name="embedding")(tokens)
    model = keras.Model(tokens, layers.GlobalAveragePooling1D(name="mean")(layers.Dense(4, name="dense")(x)))
    ids = np.array([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0]])
    expected = model.predict(ids, verbose=0)
    kzoo.accelerate(model)
    np.testing.assert_allclose(model.predict(ids, verbose=0), expected, atol=1e-6)
    assert {"embedding", "dense", "mean"} <= set(asked)

    _, fast = twins()
    seen = []
    fast.get_layer("conv").register_forward_hook(lambda *_: seen.append("hook"))
    fast.get_layer("shared").activity_regularizer = keras.regularizers.L2(0.1)
    fast(INPUTS)
    assert seen == ["hook"] and len(fast.losses) == 3
    before = fast(INPUTS)["sum"]
    fast.get_layer("shared").quantize("int8")
    after = fast(INPUTS)["sum"]
    change = np.abs(keras.ops.convert_to_numpy(after) - keras.ops.convert_to_numpy(before)).max()
    assert 0 < change < 0.2


def test_mixed_precision_and_other_dtypes_go_keras_s_way():
    def make():
        image = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, dtype="mixed_bfloat16")(image)
        x = layers.Dense(4, dtype="float64")(layers.Dense(4)(x))
        return keras.Model(image, layers.Dense(2)(x))

    plain, fast = make(), make()
    fast.set_weights(plain.get_weights())
    kzoo.accelerate(fast)
    for x in (INPUTS[0], INPUTS[0].astype("float64"), keras.ops.convert_to_tensor(INPUTS[0], "bfloat16")):
        ours, theirs = fast(x), plain(x)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(
            *(keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in (ours, theirs)), atol=2e-2
        )


def test_what_is_no_longer_needed_is_let_go():
    import weakref

    image = keras.Input((8, 8, 3))
    x, seen = image, []

    class Watch(layers.Layer):
        def call(self, x):
            if not keras.ops.is_tensor(x) or x.is_meta:
                return x + 0.0
            seen.append(weakref.ref(x))
            self.alive = sum(one() is not None for one in seen)
            return x + 0.0

    watches = [Watch() for _ in range(6)]
    for watch in watches:
        x = watch(x)
    model = keras.Model(image, x)
    kzoo.accelerate(model)
    seen.clear()
    model.predict(INPUTS[0], verbose=0)
    assert max(watch.alive for watch in watches) <= 3
