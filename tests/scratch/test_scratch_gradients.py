"""Every backward pass by hand, and those of the automatic differentiation, against finite differences in float64."""

import ast
import importlib
import pathlib

import numpy as np
import pytest

from kzoo import scratch
from kzoo.scratch import activations, autograd, check_gradients, losses, regularizers
from kzoo.scratch.autograd import Tensor

pytestmark = pytest.mark.once
TOLERANCE = 1e-6


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def moved(layer, seed=7):
    """The layer with random weights, so that no zero bias or unit scale hides a mistake; variances stay above 0."""
    for i, (name, w) in enumerate([*layer.parameters.items(), *layer.statistics.items()]):
        w[...] = 0.7 * draw(*w.shape, seed=seed + i)
        if "variance" in name:
            w[...] = 1 + np.abs(w)
    return layer


IMAGES, SEQUENCE, ROWS = (2, 5, 6, 3), (2, 4, 3), (4, 3)
TRIPLE = (draw(2, 3, 4), draw(2, 5, 4, seed=1), draw(2, 5, 4, seed=2))
LAYERS = {
    "Dense": (lambda: scratch.Dense(3, 4), ROWS),
    "Dense, on sequences": (lambda: scratch.Dense(3, 4, use_bias=False), SEQUENCE),
    "Conv2D, valid": (lambda: scratch.Conv2D(3, 2, 3), IMAGES),
    "Conv2D, same": (lambda: scratch.Conv2D(3, 2, (3, 2), padding="same"), IMAGES),
    "Conv2D, strided": (lambda: scratch.Conv2D(3, 2, 3, strides=2, padding="same"), IMAGES),
    "Conv2D, strides that leave a rest": (lambda: scratch.Conv2D(3, 2, 2, strides=(2, 3)), IMAGES),
    "Conv2D, no bias": (lambda: scratch.Conv2D(3, 2, 1, use_bias=False), IMAGES),
    "MaxPooling2D": (lambda: scratch.MaxPooling2D(2), IMAGES),
    "MaxPooling2D, overlapping": (lambda: scratch.MaxPooling2D(3, strides=2, padding="same"), IMAGES),
    "AveragePooling2D": (lambda: scratch.AveragePooling2D((2, 3)), IMAGES),
    "AveragePooling2D, overlapping": (lambda: scratch.AveragePooling2D(3, strides=2, padding="same"), IMAGES),
    "Flatten": (scratch.Flatten, IMAGES),
    "BatchNormalization": (lambda: scratch.BatchNormalization(3), IMAGES),
    "LayerNormalization": (lambda: scratch.LayerNormalization(3), SEQUENCE),
    "Dropout": (lambda: scratch.Dropout(0.4, seed=1), ROWS),
    "Embedding": (lambda: scratch.Embedding(5, 3), np.array([[1, 2, 1], [4, 0, 1]])),
    "SimpleRNN": (lambda: scratch.SimpleRNN(3, 2), SEQUENCE),
    "SimpleRNN, sequences": (lambda: scratch.SimpleRNN(3, 2, return_sequences=True), SEQUENCE),
    "LSTM": (lambda: scratch.LSTM(3, 2), SEQUENCE),
    "LSTM, sequences": (lambda: scratch.LSTM(3, 2, return_sequences=True), SEQUENCE),
    "GRU": (lambda: scratch.GRU(3, 2), SEQUENCE),
    "GRU, sequences": (lambda: scratch.GRU(3, 2, return_sequences=True), SEQUENCE),
    "ScaledDotProductAttention": (scratch.ScaledDotProductAttention, TRIPLE),
    "ScaledDotProductAttention, causal": (
        lambda: scratch.ScaledDotProductAttention(causal=True),
        (TRIPLE[0], TRIPLE[1][:, :3], TRIPLE[2][:, :3]),
    ),
    "MultiHeadAttention": (lambda: scratch.MultiHeadAttention(3, 2, 4), SEQUENCE),
    "MultiHeadAttention, causal": (lambda: scratch.MultiHeadAttention(3, 2, 4, causal=True), SEQUENCE),
    "MultiHeadAttention, on another": (lambda: scratch.MultiHeadAttention(4, 2, 3), TRIPLE),
    "Sequential": (
        lambda: scratch.Sequential(
            [
                scratch.Conv2D(3, 2, 3),
                scratch.BatchNormalization(2),
                scratch.Activation(activations.relu),
                scratch.Flatten(),
                scratch.Dropout(0.3, seed=1),
                scratch.Dense(24, 2),
            ]
        ),
        IMAGES,
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_layers_agree_with_finite_differences(case):
    make, x = LAYERS[case]
    x = draw(*x) if isinstance(x, tuple) and isinstance(x[0], int) else x
    layer = moved(make())
    for training in (True, False):
        assert check_gradients(layer, x, training=training) < TOLERANCE


@pytest.mark.parametrize("case", LAYERS)
def test_what_is_float32_stays_float32(case):
    make, x = LAYERS[case]
    x = draw(*x) if isinstance(x, tuple) and isinstance(x[0], int) else x
    layer = make().astype("float32")
    single = [
        a.astype("float32") if a.dtype.kind == "f" else a for a in (x if isinstance(x, tuple) else (x,))
    ]
    y = layer.forward(tuple(single) if isinstance(x, tuple) else single[0], training=True)
    dx = layer.backward(y)
    arrays = [y, *layer.gradients.values(), *layer.weights, *(dx if isinstance(dx, tuple) else [dx])]
    assert {a.dtype for a in arrays if a is not None} == {np.dtype("float32")}


ACTIVATIONS = [name for name in activations.__all__ if name not in ("DERIVATIVES", "Activation")]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_finite_differences(name):
    function = getattr(activations, name)
    x = np.concatenate([draw(4, 6) * 2, [[-30.0, -9.0, -0.01, 0.02, 8.0, 30.0]]])
    assert check_gradients(scratch.Activation(function), x) < TOLERANCE
    with np.errstate(over="raise", invalid="raise"):
        far = np.array([[-1e4, 1e4]])
        layer = scratch.Activation(function)
        assert np.isfinite(layer.forward(far)).all() and np.isfinite(layer.backward(far)).all()


def test_small_probabilities_keep_their_digits():
    far = np.array([-40.0, -8.0])
    np.testing.assert_allclose(activations.sigmoid(far), np.exp(far) / (1 + np.exp(far)), rtol=1e-14)
    np.testing.assert_allclose(
        activations.gelu(far)[1] / -8, 6.220960574271785e-16, rtol=1e-12
    )  # the normal tail


def test_activations_take_their_arguments():
    x = draw(4, 3)
    assert check_gradients(scratch.Activation(activations.elu, alpha=0.3), x) < TOLERANCE
    assert check_gradients(scratch.Activation(activations.leaky_relu, negative_slope=0.4), x) < TOLERANCE
    assert check_gradients(scratch.Activation(activations.softmax, axis=0), x) < TOLERANCE


BINARY = (draw(4, 3) > 0).astype("float64")
LOSSES = {
    "mean_squared_error": (draw(4, 3, seed=3), {}),
    "mean_absolute_error": (draw(4, 3, seed=3), {}),
    "huber": (draw(4, 3, seed=3), {"delta": 0.6}),
    "hinge": (BINARY, {}),
    "binary_crossentropy": (BINARY, {}),
    "binary_focal_crossentropy": (BINARY, {"gamma": 1.5, "alpha": 0.25}),
    "categorical_crossentropy": (
        np.abs(draw(4, 3, seed=3)),
        {"label_smoothing": 0.1},
    ),  # sums other than 1 count
    "sparse_categorical_crossentropy": (np.array([0, 2, 1, 1]), {}),
}


@pytest.mark.parametrize("name", losses.__all__)
def test_losses_agree_with_finite_differences_and_stay_finite(name):
    y, arguments = LOSSES[name]
    loss = getattr(losses, name)
    assert check_gradients(lambda x: loss(y, x, **arguments), draw(4, 3, seed=5)) < TOLERANCE
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, gradient = loss(y, 1e4 * np.sign(draw(4, 3, seed=5)), **arguments)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", [regularizers.L1, regularizers.L2])
def test_penalties_agree_with_finite_differences(kind):
    penalty = kind(0.3)
    assert check_gradients(lambda w: (penalty.value(w), penalty.gradient(w)), draw(4, 3)) < TOLERANCE


def test_a_wrong_gradient_is_found():
    class Wrong(scratch.Dense):
        def backward(self, dy):
            dx = super().backward(dy)
            self.gradients["bias"] = self.gradients["bias"] * 1.001
            return dx

    assert check_gradients(scratch.Dense(3, 2), draw(4, 3)) < 1e-8
    assert check_gradients(Wrong(3, 2), draw(4, 3)) > 1e-4
    assert check_gradients(lambda x: (np.sum(x**3), 3 * x), draw(4, 3)) > 1e-1


# ---------------------------------------------------------------- automatic differentiation

A, B = np.abs(draw(3, 4)) + 0.5, np.abs(draw(4, seed=1)) + 0.5
OPERATIONS = {
    "add, subtract": lambda a, b: (a + b) - (2.0 - a) - 1,
    "multiply, divide": lambda a, b: a * b / (a + 2) + 3 / b,
    "power": lambda a, b: a**3 + b**-0.5,
    "matmul": lambda a, b: (a @ b.reshape(4, 1)) * (np.ones((2, 3)) @ a).sum(),
    "negate": lambda a, b: -a * b,
    "exp, log": lambda a, b: a.exp() + b.log(),
    "tanh, sigmoid, relu": lambda a, b: a.tanh() * b.sigmoid() + (a - 1).relu(),
    "sum": lambda a, b: a.sum(0) * b + a.sum(1, keepdims=True) + a.sum(),
    "mean": lambda a, b: a.mean(0) * b + a.mean((0, 1)) + a.mean(1, keepdims=True),
    "max": lambda a, b: a.max(0) * b + a.max(1, keepdims=True),
    "logsumexp": lambda a, b: a.logsumexp(0) * b + (50 * a).logsumexp(1, keepdims=True),
    "reshape, transpose": lambda a, b: a.transpose().reshape(3, 4) * b,
    "transpose": lambda a, b: a.reshape(3, 2, 2).transpose(2, 0, 1) * b[:2],
    "index": lambda a, b: a[np.array([0, 2, 0])] * b[1:].sum() + a[:, 1:2],
    "concatenate": lambda a, b: autograd.concatenate([a, b.reshape(1, 4), a], axis=0) ** 2,
    "where": lambda a, b: autograd.where(A > 1, a, b) * 2,
    "a tensor used twice": lambda a, b: (a * a * b) @ (a * b).transpose(),
}  # fmt: skip


@pytest.mark.parametrize("case", OPERATIONS)
def test_automatic_gradients_agree_with_finite_differences(case):
    def loss(a, b):
        a, b = Tensor(a), Tensor(b)
        made = OPERATIONS[case](a, b)
        total = (made * draw(*made.shape, seed=9)).sum()
        total.backward()
        return total.value, (a.gradient, b.gradient)

    assert check_gradients(loss, (A, B)) < TOLERANCE


def test_automatic_gradients_equal_those_of_the_layers_by_hand():
    """A network with normalisation, attention and a softmax loss: the same numbers from both."""
    x, y, n = draw(2, 4, 3), np.array([1, 0]), 1 / np.sqrt(5)
    norm, attend = (
        moved(scratch.LayerNormalization(3)),
        moved(scratch.MultiHeadAttention(3, 1, 5, causal=True)),
    )
    dense = moved(scratch.Dense(12, 2))
    model = scratch.Sequential([norm, attend, scratch.Activation(activations.tanh), scratch.Flatten(), dense])
    value, dy = losses.sparse_categorical_crossentropy(y, model.forward(x))
    dx = model.backward(dy)

    leaf = Tensor(x)
    p = {name: Tensor(w) for name, w in model.parameters.items()}
    centred = leaf - leaf.mean(-1, keepdims=True)
    h = centred / ((centred**2).mean(-1, keepdims=True) + 1e-3) ** 0.5 * p["0.gamma"] + p["0.beta"]
    q, k, v = (
        h @ p[f"1.{name}_kernel"].reshape(3, 5) + p[f"1.{name}_bias"].reshape(5)
        for name in ("query", "key", "value")
    )
    logits = autograd.where(np.tri(4, dtype=bool), q @ k.transpose(0, 2, 1) * n, -1e30)
    a = (logits - logits.logsumexp(-1, keepdims=True)).exp() @ v
    a = a @ p["1.output_kernel"].reshape(5, 3) + p["1.output_bias"]
    scores = a.tanh().reshape(2, 12) @ p["4.kernel"] + p["4.bias"]
    loss = (scores.logsumexp(-1) - scores[np.arange(2), y]).mean()
    loss.backward()
    np.testing.assert_allclose(loss.value, value, rtol=1e-12)
    np.testing.assert_allclose(leaf.gradient, dx, atol=1e-12)
    for name, g in model.gradients.items():
        np.testing.assert_allclose(p[name].gradient, g, atol=1e-12, err_msg=name)


def test_a_graph_lists_parents_before_children():
    w = Tensor(np.ones((2, 2)), name="w")
    loss = ((w @ w).tanh() + 1).sum()
    nodes, edges = autograd.graph(loss)
    assert [node["label"] for node in nodes] == ["w", "matmul", "tanh", "constant", "add", "sum"] or {
        node["label"] for node in nodes
    } == {"w", "matmul", "tanh", "constant", "add", "sum"}
    assert all(a < b for a, b in edges) and len(edges) == 6
    assert nodes[-1] == {"label": "sum", "shape": (), "kind": "operation"}


def test_a_chain_of_ten_thousand_operations_has_a_gradient():
    x = y = Tensor(1.0)
    for _ in range(10_000):
        y = y + 0.001
    y.backward()
    assert x.gradient == 1


# ---------------------------------------------------------------- the room


def test_every_public_name_is_exercised_by_a_test():
    tests = [ast.parse(path.read_text()) for path in pathlib.Path(__file__).parent.glob("test_*.py")]
    nodes = [node for test in tests for node in ast.walk(test)]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    # The tables' keys, which are the names that the tests get by `getattr`.
    used |= {
        node.value.partition(",")[0]
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    modules = [
        importlib.import_module(f"kzoo.scratch.{path.stem}")
        for path in pathlib.Path(scratch.__file__).parent.glob("*.py")
        if path.stem != "__init__"
    ]
    names = {*scratch.__all__, *(name for module in modules for name in getattr(module, "__all__", ()))}
    missing = sorted(names - used)
    assert not missing
    assert {case.partition(",")[0] for case in LAYERS} >= {
        name
        for name in scratch.__all__
        if isinstance(getattr(scratch, name), type)
        and issubclass(getattr(scratch, name), scratch.Layer)
        and name not in ("Layer", "Activation")
    }


def test_the_room_imports_nothing_but_numpy_and_the_standard_library():
    for path in pathlib.Path(scratch.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                found = [node.module]
            elif isinstance(node, ast.Import):
                found = [name.name for name in node.names]
            else:
                continue
            for name in found:
                assert name.split(".")[0] in ("numpy", "math", "copy") or name.startswith("kzoo.scratch"), (
                    path
                )


# Each with what it must say.
MISUSES = {
    "Received: layer=Dense": lambda: scratch.Dense(2, 2).backward(np.ones((1, 2))),
    "2 along axis -1": lambda: scratch.Dense(2, 2).forward(np.ones((1, 3))),
    "must have the shapes": lambda: scratch.Dense(2, 2).set_weights([np.ones(2)]),
    "rate must be": lambda: scratch.Dropout(1.0),
    "looks up integers": lambda: scratch.Embedding(3, 2).forward(np.array([[3]])),
    "padding must be": lambda: scratch.Conv2D(1, 1, 2, padding="full"),
    "larger than the images": lambda: scratch.MaxPooling2D(3).forward(np.ones((1, 2, 2, 1))),
    "one shape": lambda: losses.mean_squared_error(np.ones(3), np.ones((3, 1))),
    "one integer for each row": lambda: losses.sparse_categorical_crossentropy(np.ones(3), np.ones((3, 2))),
    "learning_rate must be above 0": lambda: scratch.optimizers.Adam(0),
    "the same names": lambda: scratch.optimizers.SGD().step({"w": np.ones(1)}, {"v": np.ones(1)}),
    "only a single number": lambda: Tensor(np.ones(2)).backward(),
    "a matrix product needs matrices": lambda: Tensor(np.ones(2)) @ np.ones(2),
    "must be an activation": lambda: scratch.Activation(np.sin),
    "at least two axes": lambda: scratch.initializers.he_normal((3,), np.random.default_rng()),
    "defines forward": lambda: scratch.Layer().forward(np.ones(1)),
    "defines update": lambda: scratch.optimizers.Optimizer(1.0).step({"w": np.ones(1)}, {"w": np.ones(1)}),
}


@pytest.mark.parametrize("message", MISUSES)
def test_misuse_is_told_early(message):
    with pytest.raises((ValueError, RuntimeError, NotImplementedError), match=message):
        MISUSES[message]()
