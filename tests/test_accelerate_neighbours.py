"""What neighbours in a graph do together on PyTorch (`torch_fusion.py`) comes to what each does alone."""

import keras
import numpy as np
import pytest
from accelerate_cases import ENGINE, normal
from keras import layers

import kzoo
from kzoo.autodiff import value_and_grad

pytestmark = pytest.mark.skipif(ENGINE != "torch", reason="the other engines compile the graph")
IMAGES = normal(3, 9, 8, 3)


def network():
    """Zeros before convolutions and pooling, activations and sums after what was made for them and for others too."""
    image = keras.Input((9, 8, 3), name="image")
    x = layers.Conv2D(4, 3, 2, use_bias=False, name="conv")(layers.ZeroPadding2D(1, name="zeros")(image))
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.MaxPooling2D(3, 1, name="pool")(layers.ZeroPadding2D(1, name="pool_zeros")(x))
    y = layers.DepthwiseConv2D(3, name="each")(layers.ZeroPadding2D(((2, 0), (1, 1)), name="uneven")(x))
    y = layers.BatchNormalization(name="norm_2")(
        layers.Conv2D(4, 1, use_bias=False, name="narrow")(layers.ReLU(6.0, name="six")(y))
    )
    x = layers.ReLU(name="block")(layers.Add(name="sum")([y, x]))
    sides = [layers.Conv2D(4, 1, use_bias=False, name=name)(x) for name in ("left", "right")]
    sides = [layers.BatchNormalization(name=f"norm_{i}")(side) for i, side in enumerate(sides, 3)]
    x = layers.ReLU(name="both")(layers.Add(name="sum_of_norms")(sides))
    kept = layers.BatchNormalization(name="kept")(x)  # an output of the model, and used by two
    x = layers.Add(name="sum_2")([layers.ReLU(name="relu_2")(kept), layers.Activation("silu")(kept)])
    z = layers.ZeroPadding2D(1, name="other_zeros")(layers.Activation("tanh")(x))
    lowest = layers.MaxPooling2D(3, 1, name="lowest")(layers.Rescaling(-1.0)(z))  # zeros are the largest here
    below = layers.MaxPooling2D(3, 1, name="below")(
        layers.ZeroPadding2D(1, name="below_zeros")(layers.Rescaling(1.0, -9.0)(x))
    )
    twice = layers.BatchNormalization(name="twice")(x)
    x = layers.Add(name="doubled")([twice, twice])
    x = layers.Add(name="three")([layers.Activation("hard_silu")(layers.Dense(4)(x)), x, kept])
    # Of other shapes: what is added to is smaller than the sum.
    x = layers.Add(name="wider")(
        [layers.Dense(4, name="row")(layers.GlobalAveragePooling2D(keepdims=True)(x)), x]
    )
    return keras.Model(image, [x, kept, z, lowest, below])


def twins():
    plain, fast = network(), network()
    for one, other in zip(plain.weights, fast.weights, strict=True):
        value = 0.4 * normal(*one.shape)
        value = 1.0 + np.abs(value) if one.name in ("moving_variance", "gamma") else value
        one.assign(value), other.assign(value)
    kzoo.accelerate(fast)
    return plain, fast


@pytest.mark.parametrize("training", [False, True, None])
def test_outputs_gradients_and_statistics_are_the_plain_models(training):
    results = []
    for model in twins():

        def loss(x, model=model):
            return sum(keras.ops.sum(keras.ops.sin(y)) for y in model(x, training=training))

        x = keras.ops.convert_to_tensor(IMAGES)
        value, slopes = value_and_grad(loss)(x)
        _, gradients = value_and_grad(lambda x=x, loss=loss: loss(x), model.trainable_variables)()
        twice = kzoo.grad(lambda x, loss=loss: keras.ops.sum(kzoo.grad(loss)(x) ** 2))(x)
        arrays = [keras.ops.convert_to_numpy(a) for a in (value, slopes, twice, *gradients)]
        results.append(arrays + model.get_weights())
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_predictions_are_the_plain_models_and_leave_their_images_alone():
    plain, fast = twins()
    images = IMAGES.copy()
    for _ in range(2):
        for ours, theirs in zip(fast.predict_on_batch(images), plain.predict_on_batch(IMAGES), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(images, IMAGES)
    fast.compile("sgd", "mse"), plain.compile("sgd", "mse")
    targets = [normal(*y.shape) for y in plain.predict_on_batch(IMAGES)]
    losses = [[model.train_on_batch(IMAGES, targets)[0] for _ in range(3)] for model in (fast, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_the_short_ways_are_taken(monkeypatch):
    _, fast = twins()
    called = []

    def watch(kind, original):
        monkeypatch.setattr(kind, "call", lambda self, x: called.append(self.name) or original(self, x))

    for kind in (layers.ZeroPadding2D, layers.ReLU, layers.Add):
        watch(kind, kind.call)
    fast(IMAGES, training=True)
    served = {"zeros", "pool_zeros", "uneven", "relu", "sum", "block", "sum_of_norms", "both"}
    assert not served & set(called)
    # Zeros that are an output, or around what is below zero; what is made for another layer as well.
    assert {"other_zeros", "below_zeros", "relu_2", "doubled", "three"} <= set(called)
    called.clear()
    fast.predict_on_batch(IMAGES)
    assert not (served | {"six"}) & set(called)
    assert {"other_zeros", "below_zeros", "relu_2", "doubled", "three", "wider"} <= set(called)


# What comes first of two neighbours, and what comes second.
@pytest.mark.parametrize(
    "names", [("norm", "each", "sum", "norm_4"), ("zeros", "relu", "block", "norm_2", "sum_of_norms")]
)
def test_what_a_hook_keeps_is_not_overwritten(names):
    plain, fast = twins()
    seen = {name: [] for name in names}
    for name, outputs in seen.items():
        for model in (plain, fast):
            model.get_layer(name).register_forward_hook(
                lambda layer, given, output, outputs=outputs: outputs.append(output)
            )
    for model in (plain, fast):
        model.predict_on_batch(IMAGES)
    for name, outputs in seen.items():
        assert len(outputs) == 2, name
        theirs, ours = map(keras.ops.convert_to_numpy, outputs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=name)
