"""LayerScale against its formula, and what it is for: a new block that is nearly the identity."""

import keras
import numpy as np
from computing import computed
from keras import ops

import kzoo
from kzoo import layers


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_layer_scale_multiplies_each_channel_by_its_own_number():
    layer, x, scale = layers.LayerScale(0.5), _draw(2, 3, 4), _draw(4, seed=1)
    layer.build(x.shape)
    np.testing.assert_array_equal(computed(layer, ops.convert_to_tensor(x)), 0.5 * x)
    layer.scale.assign(scale)
    np.testing.assert_allclose(computed(layer, ops.convert_to_tensor(x)), x * scale, rtol=1e-6)


def test_the_numbers_gradient_sums_over_all_positions():
    layer, x = layers.LayerScale(), _draw(2, 3, 3, 4)
    layer.build(x.shape)
    gradient = kzoo.value_and_grad(lambda x: ops.sum(layer(x)), layer.trainable_variables)
    (found,) = computed(lambda x: gradient(x)[1], ops.convert_to_tensor(x))
    np.testing.assert_allclose(found, x.sum((0, 1, 2)), rtol=1e-5, atol=1e-5)


def test_a_new_block_is_nearly_the_identity():
    inputs = keras.Input((4,))
    branch = layers.LayerScale(1e-6)(keras.layers.Dense(4)(inputs))
    block = keras.Model(inputs, keras.layers.Add()([inputs, branch]))
    x = _draw(3, 4)
    np.testing.assert_allclose(computed(block, ops.convert_to_tensor(x)), x, atol=1e-4)
