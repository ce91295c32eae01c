"""NumPy by hand against Keras on the engine of this process: forward, gradients, fifty steps of each optimizer.

Keras computes in float32 and `kzoo.scratch` in float64: they may differ by float32's rounding and no more.
"""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo import scratch
from kzoo.scratch import activations, initializers, losses, optimizers, regularizers

IMAGES, SEQUENCE, ROWS = (2, 5, 6, 3), (2, 4, 3), (4, 3)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def assert_near(ours, theirs, name, tolerance=2e-5):
    theirs = ops.convert_to_numpy(theirs)
    assert ours.shape == theirs.shape, name
    assert np.abs(ours - theirs).max() <= tolerance * max(1.0, np.abs(theirs).max()), name


def value_and_gradients(loss, *given):
    """The value of a function of arrays and its gradients, on JAX compiled as a whole: op by op takes longer."""
    given = [ops.convert_to_tensor(a, "float32") for a in given]
    run = kzoo.value_and_grad(lambda given: loss(*given))
    if keras.backend.backend() == "jax":
        import jax

        run = jax.jit(run)
    return run(given)


def check_layer(layer, theirs, x, training=None):
    """The same weights, drawn at random, in both: outputs, gradients and moved statistics agree."""
    theirs.build(x.shape)
    weights = [0.7 * draw(*w.shape, seed=3 + i) for i, w in enumerate(layer.weights)]
    if layer.statistics:
        weights[-1] = 1 + np.abs(weights[-1])
    layer.set_weights(weights)
    y = layer.forward(x, training=bool(training))
    dy = draw(*y.shape, seed=2)
    dx = layer.backward(dy)
    floating, mode = x.dtype.kind == "f", {} if training is None else {"training": training}
    count = len(layer.parameters)
    others = [v.value for v in theirs.non_trainable_variables]
    for i, w in enumerate(weights[count:]):
        others[i] = ops.convert_to_tensor(w, "float32")

    def loss(*given):
        made = given[-1] if floating else ops.convert_to_tensor(x)
        outputs, moved = theirs.stateless_call(given[:count], others, made, **mode)
        statistics = map(ops.stop_gradient, moved[: len(layer.statistics)])
        return ops.sum(outputs * ops.convert_to_tensor(dy, "float32")) + 10 * sum(map(ops.sum, statistics))

    value, gradients = value_and_gradients(loss, *weights[:count], *([x] if floating else []))
    assert_near(np.sum(y * dy) + 10 * sum(map(np.sum, layer.statistics.values())), value, "value")
    by_hand = {name: layer.gradients[name] for name in layer.parameters} | ({"x": dx} if floating else {})
    for (name, ours), gradient in zip(by_hand.items(), gradients, strict=True):
        assert_near(ours, gradient, name)


KL = keras.layers
# Not used, and drawing a kernel makes JAX compile for each shape.
ZEROS = {"kernel_initializer": "zeros"}
RECURRENT = ZEROS | {"recurrent_initializer": "zeros"}
LAYERS = {
    "Dense": (lambda: scratch.Dense(3, 4), lambda: KL.Dense(4, **ZEROS), ROWS),
    "Conv2D": (
        lambda: scratch.Conv2D(3, 2, (3, 2), strides=2, padding="same"),
        lambda: KL.Conv2D(2, (3, 2), strides=2, padding="same", **ZEROS),
        IMAGES,
    ),
    "MaxPooling2D": (
        lambda: scratch.MaxPooling2D(3, 2, "same"),
        lambda: KL.MaxPooling2D(3, 2, "same"),
        IMAGES,
    ),
    "AveragePooling2D": (lambda: scratch.AveragePooling2D(2), lambda: KL.AveragePooling2D(2), IMAGES),
    "AveragePooling2D, same": (
        lambda: scratch.AveragePooling2D(3, 2, "same"),
        lambda: KL.AveragePooling2D(3, 2, "same"),
        IMAGES,
    ),
    "Flatten": (scratch.Flatten, KL.Flatten, IMAGES),
    "BatchNormalization, training": (
        lambda: scratch.BatchNormalization(3),
        KL.BatchNormalization,
        IMAGES,
        True,
    ),
    "BatchNormalization": (lambda: scratch.BatchNormalization(3), KL.BatchNormalization, IMAGES, False),
    "LayerNormalization": (lambda: scratch.LayerNormalization(3), KL.LayerNormalization, SEQUENCE),
    "Embedding": (
        lambda: scratch.Embedding(5, 3),
        lambda: KL.Embedding(5, 3, embeddings_initializer="zeros"),
        np.array([[1, 2, 1], [4, 0, 1]]),
    ),
    "SimpleRNN": (lambda: scratch.SimpleRNN(3, 2), lambda: KL.SimpleRNN(2, **RECURRENT), SEQUENCE),
    "LSTM": (
        lambda: scratch.LSTM(3, 2, return_sequences=True),
        lambda: KL.LSTM(2, return_sequences=True, **RECURRENT),
        SEQUENCE,
    ),
    "GRU": (
        lambda: scratch.GRU(3, 2, return_sequences=True),
        lambda: KL.GRU(2, return_sequences=True, **RECURRENT),
        SEQUENCE,
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_layers_equal_those_of_keras(case):
    if case == "AveragePooling2D, same" and keras.backend.backend() == "torch":
        pytest.skip("Keras 3.15.1 on PyTorch counts the border, which it fills with the edge's values")
    ours, theirs, x, *training = LAYERS[case]
    check_layer(ours(), theirs(), x if isinstance(x, np.ndarray) else draw(*x), *training)


class SelfAttention(keras.layers.Layer):
    """Keras's causal attention with one input, so that it is checked as the others are."""

    def __init__(self):
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(2, 4, **ZEROS)

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return self.attention(x, x, use_causal_mask=True)


def test_multi_head_attention_equals_that_of_keras():
    check_layer(scratch.MultiHeadAttention(3, 2, 4, causal=True), SelfAttention(), draw(*SEQUENCE))


def test_scaled_dot_product_attention_equals_that_of_keras():
    q, v, k = (draw(2, 4, 3, 5, seed=i) for i in range(3))  # (b, heads, n, k)
    layer = scratch.ScaledDotProductAttention(causal=True)
    y = layer.forward((q, v, k))
    ours = layer.backward(y)

    def loss(q, v, k):
        made = ops.dot_product_attention(q, k, v, is_causal=True)  # (b, n, heads, k)
        return ops.sum(made**2) / 2

    value, theirs = value_and_gradients(loss, *(a.swapaxes(1, 2) for a in (q, v, k)))
    assert_near(np.sum(y**2) / 2, value, "loss")
    for name, mine, other in zip("qvk", ours, theirs):
        assert_near(mine.swapaxes(1, 2), other, name)
    np.testing.assert_allclose(layer.attention_scores.sum(-1), 1)


def test_dropout_scales_what_it_keeps_as_keras_does():
    layer, x = scratch.Dropout(0.25, seed=0), np.ones((200, 50))
    y = layer.forward(x, training=True)
    theirs = ops.convert_to_numpy(keras.layers.Dropout(0.25, seed=0)(x, training=True))
    assert set(np.unique(y).round(6)) == set(np.unique(theirs).astype("float64").round(6)) == {0.0, 1.333333}
    assert abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(layer.backward(x), y)
    np.testing.assert_array_equal(layer.forward(x), x)


ACTIVATIONS = {
    "linear": keras.activations.linear,
    "sigmoid": keras.activations.sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "leaky_relu": keras.activations.leaky_relu,
    "elu": keras.activations.elu,
    "gelu": keras.activations.gelu,
    "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "swish": keras.activations.silu,
    "softmax": keras.activations.softmax,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_those_of_keras(name):
    x = np.concatenate([2 * draw(4, 3), [[-20.0, 0.5, 20.0]]])
    layer, dy = scratch.Activation(getattr(activations, name)), draw(5, 3, seed=1)
    y = layer.forward(x)
    value, (gradient,) = value_and_gradients(
        lambda x: ops.sum(ACTIVATIONS[name](x) * ops.convert_to_tensor(dy, "float32")), x
    )
    assert_near(np.sum(y * dy), value, "value")
    assert_near(layer.backward(dy), gradient, "gradient")


BINARY, CLASSES = (draw(4, 3) > 0).astype("float32"), np.array([0, 2, 1, 1])
TARGETS, SOFT = draw(4, 3, seed=3), np.eye(3)[CLASSES]
LOSSES = {
    "mean_squared_error": (TARGETS, {}, keras.losses.MeanSquaredError()),
    "mean_absolute_error": (TARGETS, {}, keras.losses.MeanAbsoluteError()),
    "huber": (TARGETS, {"delta": 0.6}, keras.losses.Huber(0.6)),
    "hinge": (BINARY, {}, keras.losses.Hinge()),
    "binary_crossentropy": (BINARY, {}, keras.losses.BinaryCrossentropy(from_logits=True)),
    "binary_focal_crossentropy": (
        BINARY,
        {"gamma": 2.0, "alpha": 0.25},
        keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True),
    ),
    "categorical_crossentropy": (
        SOFT,
        {"label_smoothing": 0.1},
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    ),
    "sparse_categorical_crossentropy": (
        CLASSES,
        {},
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ),
}


@pytest.mark.parametrize("name", losses.__all__)
def test_losses_equal_those_of_keras(name):
    y, arguments, theirs = LOSSES[name]
    x = draw(4, 3, seed=5)
    value, gradient = getattr(losses, name)(y, x, **arguments)
    their_value, (their_gradient,) = value_and_gradients(lambda x: theirs(y, x), x)
    assert_near(value, their_value, "value")
    assert_near(gradient, their_gradient, "gradient")


@pytest.mark.parametrize("name", regularizers.__all__)
def test_penalties_equal_those_of_keras(name):
    w = draw(4, 3)
    ours, theirs = getattr(regularizers, name)(0.02), getattr(keras.regularizers, name)(0.02)
    value, (gradient,) = value_and_gradients(theirs, w)
    assert_near(ours.value(w), value, "value")
    assert_near(ours.gradient(w), gradient, "gradient")


OPTIMIZERS = {
    "SGD": dict(learning_rate=0.1),
    "SGD, momentum": dict(learning_rate=0.1, momentum=0.9),
    "SGD, Nesterov": dict(learning_rate=0.1, momentum=0.9, nesterov=True),
    "Adagrad": dict(learning_rate=0.1),
    "RMSprop": dict(learning_rate=0.01),
    "RMSprop, momentum": dict(learning_rate=0.01, momentum=0.9),
    "Adam": dict(learning_rate=0.01),
    "AdamW": dict(learning_rate=0.01, weight_decay=0.1),
}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_fifty_steps_equal_those_of_keras(case):
    name = case.partition(",")[0]
    ours, theirs = (
        getattr(optimizers, name)(**OPTIMIZERS[case]),
        getattr(keras.optimizers, name)(**OPTIMIZERS[case]),
    )
    start = [draw(4, 3), draw(4, 3, seed=1)]
    parameters = {str(i): w.copy() for i, w in enumerate(start)}
    variables = [keras.Variable(w, dtype="float32") for w in start]
    theirs.build(variables)
    for step in range(50):
        gradients = [draw(4, 3, seed=2 * step + i) for i in range(2)]
        ours.step(parameters, dict(zip(parameters, gradients)))
        theirs.apply([ops.convert_to_tensor(g, "float32") for g in gradients], variables)
    for w, variable, old in zip(parameters.values(), variables, start):
        assert_near(w, variable.value, case)
        assert np.abs(w - old).max() > 0.05


@pytest.mark.once
@pytest.mark.parametrize("name", optimizers.__all__)
def test_every_optimizer_is_in_the_table_and_has_the_defaults_of_keras(name):
    if name == "Optimizer":
        return
    assert name in OPTIMIZERS
    ours, theirs = getattr(optimizers, name)(), getattr(keras.optimizers, name)().get_config()
    for attribute, value in vars(ours).items():
        if attribute in theirs and attribute != "iterations":
            assert np.isclose(value, theirs[attribute]), attribute


SCALED = [name for name in initializers.__all__ if name.partition("_")[0] in ("glorot", "he", "lecun")]
KERAS_NAMES = {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"}


@pytest.mark.once
@pytest.mark.parametrize("name", SCALED)
def test_scaled_initializers_have_the_variance_and_shape_of_those_of_keras(name):
    """24,000 values of a kernel with 240 inputs and 300 outputs to each unit."""
    theirs = keras.initializers.get(name)
    fan = {"fan_in": 240, "fan_avg": 270, "fan_out": 300}[theirs.mode]
    deviation = np.sqrt(theirs.scale / fan)
    ours = getattr(initializers, name)((2, 3, 40, 50), np.random.default_rng(0))
    more = getattr(initializers, name)((2, 3, 40, 50), np.random.default_rng(1))
    values = np.concatenate([ours, more, -ours, -more]).ravel()
    assert ours.shape == (2, 3, 40, 50) and set(SCALED) == KERAS_NAMES
    assert abs(values.std() / deviation - 1) < 0.02
    # Uniform values end at the root of 3 deviations; cutting a normal at two of its own leaves 0.88 of its deviation.
    end = {"uniform": np.sqrt(3), "truncated_normal": 2 / 0.8796}[theirs.distribution]
    assert 0.98 * end < np.abs(values).max() / deviation <= end + 1e-3
    # The share of values within one deviation tells the two apart.
    within = {"uniform": 1 / np.sqrt(3), "truncated_normal": 0.6505}[theirs.distribution]
    assert abs(np.mean(np.abs(values) < deviation) - within) < 0.02


@pytest.mark.once
def test_the_other_initializers_are_what_they_say():
    generator = np.random.default_rng(0)
    assert not initializers.zeros((3, 4)).any()
    assert (
        abs(initializers.normal((100, 100), generator).std() / keras.initializers.RandomNormal().stddev - 1)
        < 0.02
    )
    for rows, columns in ((40, 10), (10, 40)):
        q = initializers.orthogonal((rows, columns), generator, gain=2.0) / 2
        small = q.T @ q if rows > columns else q @ q.T
        np.testing.assert_allclose(small, np.eye(10), atol=1e-12)


@pytest.mark.once
def test_the_perceptron_parts_what_a_line_parts_and_never_rests_on_xor():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert scratch.Perceptron(2).fit(x, [0, 0, 0, 1])[-1] == 0
    perceptron = scratch.Perceptron(2, learning_rate=0.1)
    assert perceptron.fit(x, [0, 1, 1, 1])[-1] == 0 and perceptron.predict(x).tolist() == [0, 1, 1, 1]
    mistakes = scratch.Perceptron(2).fit(x, [0, 1, 1, 0], epochs=50)
    assert len(mistakes) == 50 and min(mistakes) > 0


def test_one_step_of_training_equals_one_with_keras():
    """A network in both, the same weights and batch: descent with a penalty on the kernels moves both alike."""
    x, y = draw(8, 5), np.arange(8) % 3
    ours = scratch.Sequential(
        [scratch.Dense(5, 4, seed=0), scratch.Activation(activations.tanh), scratch.Dense(4, 3, seed=1)]
    )
    loss, penalty = keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.regularizers.L2(0.01)

    def theirs(w0, b0, w1, b1):
        logits = ops.matmul(ops.tanh(ops.matmul(ops.convert_to_tensor(x, "float32"), w0) + b0), w1) + b1
        return loss(y, logits) + penalty(w0) + penalty(w1)

    old = [w.copy() for w in ours.weights]
    their_value, gradients = value_and_gradients(theirs, *old)
    arguments = (losses.sparse_categorical_crossentropy, optimizers.SGD(0.5), regularizers.L2(0.01))
    outputs, value = scratch.train_step(ours, x, y, *arguments)
    assert_near(value, their_value, "loss")
    for new, w, gradient in zip(ours.weights, old, gradients):
        assert_near((w - new) / 0.5, gradient, "step")
    assert outputs.shape == (8, 3) and scratch.count_parameters(ours) == 39


def test_a_stack_takes_the_weights_of_a_stack_of_keras():
    ours = scratch.Sequential(
        [
            scratch.Dense(3, 4),
            scratch.BatchNormalization(4),
            scratch.Activation(activations.relu),
            scratch.Dense(4, 2),
        ]
    )
    theirs = keras.Sequential(
        [KL.Dense(4, **ZEROS), KL.BatchNormalization(), KL.ReLU(), KL.Dense(2, **ZEROS)]
    )
    theirs.build((4, 3))
    theirs.set_weights([np.abs(draw(*w.shape, seed=i)) for i, w in enumerate(theirs.weights)])
    ours.set_weights(theirs.get_weights())
    x = draw(4, 3)
    assert_near(ours.forward(x), theirs(ops.convert_to_tensor(x, "float32")), "outputs")


@pytest.mark.once
def test_training_learns_in_either_precision_and_is_the_same_by_seed():
    x = draw(64, 2)
    y = (x[:, 0] * x[:, 1] > 0).astype("int64")

    def trained(dtype, seed):
        model = scratch.Sequential(
            [scratch.Dense(2, 16, seed=0), scratch.Activation(activations.relu), scratch.Dense(16, 2, seed=1)]
        ).astype(dtype)
        *_, last = scratch.train(
            model,
            x.astype(dtype),
            y,
            loss=losses.sparse_categorical_crossentropy,
            optimizer=optimizers.Adam(),
            epochs=60,
            batch_size=20,
            seed=seed,
            schedule=lambda done: 0.03 * (1 - done),
        )
        assert {w.dtype for w in model.weights} == {np.dtype(dtype)}
        return last, np.mean(model.predict(x.astype(dtype), batch_size=7).argmax(-1) == y)

    (double, accuracy), (single, _) = trained("float64", 0), trained("float32", 0)
    assert accuracy > 0.95 and abs(double - single) < 1e-3
    assert trained("float64", 0)[0] == double != trained("float64", 1)[0]
