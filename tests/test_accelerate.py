"""`kzoo.accelerate`: an accelerated model is told from its plain twin by its speed only."""

import copy
import os

import keras
import numpy as np
import pytest
from accelerate_cases import ENGINE, SERVES, flat, normal, padded, twins
from keras import layers

from kzoo.accelerate import accelerate
from kzoo.autodiff import value_and_grad

SERVED = pytest.mark.skipif(not SERVES, reason="nothing is changed on this engine")


def network():
    """Every kind of layer that some engine serves, in one small model with images, sequences and masks."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    x = layers.Reshape((16, 8))(x)
    x = x + layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.LayerNormalization()(x)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(layers.Masking()(x))
    x = layers.SimpleRNN(6)(layers.GRU(6, return_sequences=True)(x))
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(3)])
    return keras.Model(image, inner(x))


def compiled(optimizer, **settings):
    model = network()
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), **settings)
    return model


WAYS = [
    (optimizer, when)
    for optimizer in ("sgd", "adam")
    for when in ("before compile", "after compile", "trained")
]
WAYS = (
    WAYS if ENGINE == "torch" else WAYS[:1]
)  # elsewhere nothing but the pooling differs, and tracing takes long


@SERVED
@pytest.mark.parametrize(("name", "when"), WAYS)
def test_training_is_the_plain_models(name, when):
    def optimizer():
        return {"sgd": keras.optimizers.SGD(0.1, momentum=0.9), "adam": keras.optimizers.Adam(1e-3)}[name]

    x, y = normal(24, 8, 8, 3), np.arange(24) % 3
    plain, fast = compiled(optimizer()), network() if when == "before compile" else compiled(optimizer())
    fast.set_weights(plain.get_weights())
    if when == "trained":
        for model in (plain, fast):
            model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    assert bool(accelerate(fast).changed) == SERVES
    if when == "before compile":
        fast.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    histories = [m.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"] for m in (plain, fast)]
    np.testing.assert_allclose(*histories, atol=1e-5)
    tolerance = 1e-4 if name == "adam" else 1e-5  # Adam's first steps turn rounding into steps of its rate
    for ours, theirs in zip(fast.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)
    if ENGINE == "torch":
        np.testing.assert_allclose(fast.train_on_batch(x, y), plain.train_on_batch(x, y), atol=1e-4)
        np.testing.assert_allclose(fast.evaluate(x, y, verbose=0), plain.evaluate(x, y, verbose=0), atol=1e-4)
    np.testing.assert_allclose(fast.predict(x, verbose=0), plain.predict(x, verbose=0), atol=1e-4)


@pytest.mark.skipif(ENGINE != "torch", reason="memory order is PyTorch's affair")
def test_weights_and_optimizer_slots_lie_in_one_order():
    model = compiled(keras.optimizers.Adam())
    accelerate(model)
    model.fit(normal(8, 8, 8, 3), np.arange(8) % 3, verbose=0)
    kernel = model.layers[1].kernel
    slots = [slot for slot in model.optimizer.variables if tuple(slot.shape) == tuple(kernel.shape)]
    assert len(slots) == 2
    assert {slot.value.stride() for slot in slots} == {kernel.value.stride()} == {(9, 3, 1, 27)}


@SERVED
def test_file_is_the_plain_models(tmp_path):
    x, y = normal(8, 8, 8, 3), np.arange(8) % 3
    model = compiled(keras.optimizers.Adam())
    accelerate(model)
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    for step in ("once", "twice"):
        path = os.fspath(tmp_path / f"{step}.keras")
        model.save(path)
        model = keras.models.load_model(path)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
        assert bool(accelerate(model).changed) == SERVES
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    model.fit(x, y, verbose=0)


@SERVED
def test_copies_clones_and_functional_reuse_work():
    x = normal(4, 8, 8, 3)
    model = network()
    accelerate(model)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(copy.deepcopy(model).predict(x, verbose=0), expected, atol=1e-5)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone.predict(x, verbose=0), expected, atol=1e-5)
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, layers.Softmax()(model(inputs)))
    assert outer.predict(x, verbose=0).shape == (4, 3)
    sub = keras.Model(model.input, model.layers[-2].output)
    assert sub.predict(x, verbose=0).shape == (4, 6)


@SERVED
def test_weights_given_later_are_used():
    model, other, x = network(), network(), normal(4, 8, 8, 3)
    accelerate(model)
    model.set_weights(other.get_weights())
    np.testing.assert_allclose(model.predict(x, verbose=0), other.predict(x, verbose=0), atol=1e-5)


@SERVED
def test_accelerating_twice_changes_nothing_more():
    model, x = network(), normal(4, 8, 8, 3)
    first = accelerate(model)
    expected = model.predict(x, verbose=0)
    methods = [vars(layer).get("inner_loop", vars(layer).get("call")) for layer in model._flatten_layers()]
    assert accelerate(model) == first
    assert methods == [
        vars(layer).get("inner_loop", vars(layer).get("call")) for layer in model._flatten_layers()
    ]
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


@SERVED
@pytest.mark.parametrize(
    "make", [lambda: layers.LSTM(5), lambda: layers.GRU(5), lambda: layers.GroupNormalization(2)]
)
def test_second_derivatives_are_the_plain_layers(make):
    x = normal(3, 6, 4)
    results = []
    for layer in twins(make, x)[:2]:

        def penalty(x, layer=layer):
            _, slope = value_and_grad(lambda x: keras.ops.sum(keras.ops.sin(layer(x))))(x)
            return keras.ops.sum(slope**2)

        _, gradients = value_and_grad(penalty, layer.trainable_variables)(keras.ops.convert_to_tensor(x))
        results.append(flat(gradients))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@SERVED
def test_lora_after_acceleration_is_used():
    x, results = normal(3, 4), []
    for layer in twins(lambda: layers.Dense(6), x)[:2]:
        layer.enable_lora(2)
        layer.lora_kernel_a.assign(normal(4, 2))
        layer.lora_kernel_b.assign(normal(2, 6))
        results.append(flat(layer(x))[0])
    np.testing.assert_allclose(*results, atol=1e-5)


LEFT_ALONE = {
    "recurrent dropout": lambda: layers.LSTM(3, recurrent_dropout=0.2),
    "unrolled": lambda: layers.LSTM(3, unroll=True),
    "use_cudnn=False": lambda: layers.GRU(3, use_cudnn=False),
    "implementation=1": lambda: layers.LSTM(3, implementation=1),
    "activation is relu": lambda: layers.LSTM(3, activation="relu"),
    "activation is hard_sigmoid": lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid"),
    "reset_after=False": lambda: layers.GRU(3, reset_after=False),
    "LoRA": lambda: layers.Dense(3, lora_rank=2),
    "renormalizes": lambda: layers.BatchNormalization(renorm=True),
}


@pytest.mark.skipif(ENGINE != "torch", reason="recurrent layers have no rule on this engine")
@pytest.mark.parametrize("reason", LEFT_ALONE)
def test_what_cannot_be_served_is_left_alone_and_said(reason):
    model = keras.Sequential([keras.Input((6, 4)), LEFT_ALONE[reason]()])
    report = accelerate(model)
    assert not report.changed
    assert reason in str(report) and reason in report.left_alone[0].text
    assert not {"call", "inner_loop"} & set(vars(model.layers[0]))


def test_subclasses_are_left_as_they_are():
    class Mine(layers.LSTM):
        pass

    report = accelerate(keras.Sequential([keras.Input((6, 4)), Mine(3)]))
    assert not report.changed and not report.left_alone


def test_report_names_what_changed():
    report = accelerate(network())
    expected = {
        "torch": {"LSTM", "GRU", "SimpleRNN"},
        "jax": {"MaxPooling2D", "LayerNormalization"},
        "tensorflow": set(),
    }[ENGINE]
    assert expected <= {entry.layer for entry in report.changed}
    assert {"torch": "2 LSTM", "jax": "1 MaxPooling2D", "tensorflow": "nothing"}[ENGINE] in report.summary
    assert report.summary in str(report)


@pytest.mark.parametrize("wrong", [None, keras.Sequential([layers.Dense(3)])])
def test_what_is_no_built_model_is_refused(wrong):
    with pytest.raises(ValueError, match="Received: model="):
        accelerate(wrong)


@SERVED
def test_a_keras_hub_model_gives_the_same_numbers():
    keras_hub = pytest.importorskip("keras_hub")
    settings = dict(
        vocabulary_size=20, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16, dropout=0.0
    )
    plain, fast = (keras_hub.models.GPT2Backbone(max_sequence_length=6, **settings) for _ in range(2))
    fast.set_weights(plain.get_weights())
    report = accelerate(fast)
    inputs = {"token_ids": np.arange(12).reshape(2, 6), "padding_mask": padded(6, 4)}
    targets, results = normal(2, 6, 8), []
    for model in (plain, fast):
        model.compile(keras.optimizers.SGD(0.1), "mse")
        losses = [model.train_on_batch(inputs, targets) for _ in range(3)]
        results.append([np.array(losses), model.predict(inputs, verbose=0), *model.get_weights()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert bool(report.changed) == (ENGINE != "tensorflow")


@SERVED
def test_a_compiled_step_gives_the_same_numbers():
    x, y = normal(8, 6, 4), np.zeros((8, 3), "float32")
    models = [keras.Sequential([keras.Input((6, 4)), layers.LSTM(5), layers.Dense(3)]) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    accelerate(models[1])
    losses = []
    for model in models:
        model.compile("sgd", "mse", jit_compile=ENGINE != "torch")
        losses.append(model.fit(x, y, batch_size=4, shuffle=False, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, atol=1e-5)
