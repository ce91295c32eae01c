"""`value_and_grad` and `grad` against formulas, finite differences and each other's nesting."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from learners import set_weights_by_rule

import kzoo


def numpy_of(x):
    return ops.convert_to_numpy(x)


def test_gradient_of_the_first_argument_equals_the_formula():
    x = ops.array([1.0, 2.0, 3.0])
    value, gradient = kzoo.value_and_grad(lambda x, k: k * ops.sum(x**3))(x, 2.0)
    assert float(value) == 72.0
    np.testing.assert_allclose(numpy_of(gradient), [6.0, 24.0, 54.0], rtol=1e-6)


def test_gradients_nest_to_the_third_order():
    third = kzoo.grad(
        lambda x: ops.sum(kzoo.grad(lambda x: ops.sum(kzoo.grad(lambda x: ops.sum(x**4))(x)))(x))
    )
    np.testing.assert_allclose(numpy_of(third(ops.array([2.0, 3.0]))), [48.0, 72.0], rtol=1e-6)


def test_nested_structures_of_arguments_give_gradients_of_the_same_structure():
    inputs = {"a": ops.array([1.0, 2.0]), "b": [ops.array(3.0), ops.array(4.0)]}
    gradients = kzoo.grad(lambda t: ops.sum(t["a"] ** 2) + t["b"][0] * t["b"][1])(inputs)
    np.testing.assert_allclose(numpy_of(gradients["a"]), [2.0, 4.0])
    assert [float(g) for g in gradients["b"]] == [4.0, 3.0]


def test_numpy_arguments_are_taken_as_tensors():
    np.testing.assert_allclose(
        numpy_of(kzoo.grad(lambda x: ops.sum(x**2))(np.ones(3, "float32"))), 2 * np.ones(3)
    )


def test_what_the_function_closes_over_is_constant():
    x = ops.array(3.0)
    assert float(kzoo.grad(lambda y: x * y)(x)) == 3.0
    outer = kzoo.grad(lambda x: kzoo.grad(lambda y: x * y * y)(x))  # d/dx of 2 x x
    assert float(outer(x)) == 12.0


def test_unconnected_variables_and_constants_have_zero_gradients():
    a, b = keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])
    gradients = kzoo.grad(lambda: ops.sum(a.value**2), [a, b])()
    np.testing.assert_allclose(numpy_of(gradients[0]), [2.0, 4.0])
    np.testing.assert_array_equal(numpy_of(gradients[1]), [[0.0]])
    value, gradients = kzoo.value_and_grad(lambda: 7.0, [a])()
    assert float(value) == 7.0 and not numpy_of(gradients[0]).any()


def test_frozen_variables_can_be_differentiated():
    v = keras.Variable(2.0, trainable=False)
    assert float(kzoo.grad(lambda: v.value**2, [v])()[0]) == 4.0


def test_auxiliary_output_of_any_kind_comes_back():
    def fn(x):
        return ops.sum(x), {"twice": 2 * x, "name": "text", "none": None}

    (value, aux), gradient = kzoo.value_and_grad(fn, has_aux=True)(ops.ones(2))
    assert float(value) == 2.0 and aux["name"] == "text" and aux["none"] is None
    np.testing.assert_array_equal(numpy_of(aux["twice"]), [2.0, 2.0])
    np.testing.assert_array_equal(numpy_of(gradient), [1.0, 1.0])


def test_results_are_cut_from_the_graph_at_the_outermost_level():
    v = keras.Variable([1.0, 2.0])
    (value, aux), gradients = kzoo.value_and_grad(
        lambda: (ops.sum(v.value**2), v.value * 3), [v], has_aux=True
    )()
    for tensor in (value, aux, *gradients):
        np.asarray(tensor)  # PyTorch refuses this for tensors that carry a graph


@pytest.fixture
def network():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(5, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(1, kernel_regularizer="l2"),
        ]
    )
    set_weights_by_rule(model)
    return model


def test_gradients_of_a_network_equal_finite_differences(network):
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(6, 3)).astype("float32"))
    variables = network.trainable_variables

    def loss(x):
        return ops.mean(network(x) ** 2)

    gradients = kzoo.grad(loss, variables)(x)
    for variable, gradient in zip(variables, gradients):
        start, direction = variable.numpy(), np.sign(numpy_of(gradient))
        ends = []
        for side in (1, -1):
            variable.assign(start + side * 1e-2 * direction)
            ends.append(float(numpy_of(loss(x))))
        variable.assign(start)
        slope = float(np.sum(numpy_of(gradient) * direction))
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(slope, rel=5e-3, abs=1e-5)


def test_changes_of_other_state_survive(network):
    x = np.random.default_rng(0).normal(2.0, 1.0, size=(32, 3)).astype("float32")
    metric = keras.metrics.Mean()

    def loss(x):
        out = ops.mean(network(x, training=True) ** 2)
        metric.update_state(out)
        return out

    norm, seed = network.layers[1], network.layers[2].seed_generator.state
    before = norm.moving_mean.numpy(), seed.numpy()
    value, _ = kzoo.value_and_grad(loss, network.trainable_variables)(ops.convert_to_tensor(x))
    hidden = np.tanh(x @ network.layers[0].kernel.numpy() + network.layers[0].bias.numpy())
    np.testing.assert_allclose(
        norm.moving_mean.numpy(), before[0] * 0.99 + hidden.mean(0) * 0.01, rtol=1e-4, atol=1e-6
    )
    if (
        keras.config.backend() != "torch"
    ):  # there dropout draws from PyTorch's own generator, not from the layer's seed
        assert not np.array_equal(before[1], seed.numpy())
    assert float(metric.result()) == pytest.approx(float(value), rel=1e-6)


def test_regularisation_losses_can_be_used_inside(network):
    kernel = network.layers[-1].kernel
    gradients = kzoo.grad(lambda: sum(network.losses), [kernel])()
    np.testing.assert_allclose(numpy_of(gradients[0]), 2 * 0.01 * kernel.numpy(), rtol=1e-5)


def test_an_assignment_inside_is_a_constant_and_the_variable_stays_the_leaf():
    v, w = keras.Variable(3.0), keras.Variable(1.0)

    def loss():
        w.assign(v.value * 2.0)  # w is not differentiated: its new value is a number
        v.assign(v.value / 2.0)  # v is: later reads count as reads of v
        return w.value * v.value

    (gradient,) = kzoo.grad(loss, [v])()
    assert float(gradient) == 6.0
    assert float(v.value) == 1.5 and float(w.value) == 6.0


def test_batch_norm_is_updated_by_inner_and_outer_functions(network):
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(8, 3)).astype("float32"))
    norm = network.layers[1]
    norm.moving_mean.assign(np.ones(5))

    def outer(x):
        inner = kzoo.grad(lambda x: ops.sum(network(x, training=True)))(x)
        return ops.sum(inner**2) + ops.sum(network(x, training=True))

    kzoo.grad(outer, network.trainable_variables)(x)
    hidden = np.tanh(numpy_of(x) @ network.layers[0].kernel.numpy() + network.layers[0].bias.numpy()).mean(0)
    expected = (1.0 * 0.99 + hidden * 0.01) * 0.99 + hidden * 0.01
    np.testing.assert_allclose(norm.moving_mean.numpy(), expected, rtol=1e-4)


def test_gradients_through_an_inner_step_by_stateless_call():
    """One step of MAML: the outer gradient equals the finite difference through the inner update."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    set_weights_by_rule(model)
    rng = np.random.default_rng(1)
    x, y = (ops.convert_to_tensor(rng.normal(size=s).astype("float32")) for s in ((8, 2), (8, 1)))

    def loss(values):
        prediction, _ = model.stateless_call(values, [], x)
        return ops.mean((prediction - y) ** 2)

    def adapted(values):
        return loss([v - 0.1 * g for v, g in zip(values, kzoo.grad(loss)(values))])

    values = [ops.convert_to_tensor(v.numpy()) for v in model.trainable_variables]
    gradients = kzoo.grad(adapted)(values)
    for i in range(len(values)):
        direction = np.sign(numpy_of(gradients[i])).astype("float32")
        ends = [
            float(adapted([v + side * 1e-2 * direction if j == i else v for j, v in enumerate(values)]))
            for side in (1, -1)
        ]
        slope = float(np.sum(numpy_of(gradients[i]) * direction))
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(slope, rel=1e-2, abs=1e-4)


def test_a_gradient_inside_a_layer_is_differentiated_by_keras_own_step():
    """`grad` in `compute_loss` under Keras's `fit`: a gradient penalty must reach the weights."""

    class Penalised(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1, use_bias=False, kernel_initializer="ones")
            self.dense.build((None, 2))
            self.built = True

        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            slope = kzoo.grad(lambda x: ops.sum(self.dense(x) ** 2))(x)
            return ops.mean(slope**2)

    model = Penalised()
    model.compile(keras.optimizers.SGD(0.01))
    x = np.ones((4, 2), "float32")
    # loss = mean_ij (2 (x w) w_j)^2 with x w = w1 + w2 = 2: d/dw1 at (1, 1) = 4 ((w1+w2)(w1²+w2²) + (w1+w2)² w1) = 32
    model.fit(x, np.zeros((4, 1)), epochs=1, verbose=0)
    np.testing.assert_allclose(model.dense.kernel.numpy(), [[1 - 0.01 * 32], [1 - 0.01 * 32]], rtol=1e-4)


def test_a_gradient_in_a_call_works_under_predict():
    class Slope(layers.Layer):
        def call(self, x):
            return kzoo.grad(lambda x: ops.sum(x**3))(x)

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Slope()(inputs))
    np.testing.assert_allclose(
        model.predict(np.ones((3, 2), "float32"), verbose=0), 3 * np.ones((3, 2)), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kzoo.grad(lambda x: x**2)(ops.ones(3)), "only a scalar"),
        (lambda: kzoo.grad(lambda x: ops.sum(x))(ops.ones(3, dtype="int32")), "floating-point"),
        (lambda: kzoo.grad(lambda: 1.0)(), "first positional argument"),
        (lambda: kzoo.grad(lambda: 1.0, [])(), "no variables"),
        (lambda: kzoo.value_and_grad(lambda x: ops.sum(x), has_aux=True)(ops.ones(3)), "scalar, aux"),
    ],
)
def test_wrong_use_is_told_clearly(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_variables_must_be_keras_variables():
    with pytest.raises(TypeError, match="Keras variables"):
        kzoo.grad(lambda: 1.0, [ops.ones(3)])
