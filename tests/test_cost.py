"""Multiply-adds against figures of papers and against counts by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from kzoo.models.cost import multiply_adds

pytestmark = pytest.mark.once


def test_mobilenet_costs_what_its_paper_says():
    # Howard et al. (2017), arXiv:1704.04861, table 8: 569 million at width 1 and 224 pixels.
    model = keras.applications.MobileNet(weights=None)
    assert multiply_adds(model) == pytest.approx(569e6, rel=0.002)


def test_vgg16_costs_what_is_published():
    # 15.5 billion: 15.3 of convolutions and 0.12 of dense layers.
    assert multiply_adds(keras.applications.VGG16(weights=None)) == pytest.approx(15.5e9, rel=0.005)


def test_products_are_counted_layer_by_layer():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(x)  # 4 x 4 sites
    x = layers.Conv2D(6, 3, groups=2, padding="same")(x)
    x = layers.Conv2DTranspose(5, 2, strides=2)(x)  # from 4 x 4 sites
    inner = keras.Sequential([keras.Input((8, 8, 5)), layers.DepthwiseConv2D(3, padding="same")])
    x = layers.GlobalAveragePooling2D()(inner(layers.BatchNormalization()(x)))
    model = keras.Model(inputs, layers.Dense(7)(x))
    expected = 16 * 27 * 4 + 16 * 9 * 2 * 6 + 16 * 4 * 6 * 5 + 64 * 9 * 5 + 5 * 7
    assert multiply_adds(model) == expected


def test_a_layer_that_is_shared_counts_each_time_it_is_called():
    inputs, shared = keras.Input((3,)), layers.Dense(3)
    assert multiply_adds(keras.Model(inputs, shared(shared(inputs)))) == 18


def test_what_cannot_be_counted_is_named():
    inputs = keras.Input((5, 3))
    with pytest.raises(ValueError, match="LSTM are not known"):
        multiply_adds(keras.Model(inputs, layers.LSTM(2)(inputs)))
    inputs = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="fixed sizes"):
        multiply_adds(keras.Model(inputs, layers.Conv2D(2, 3)(inputs)))
    assert np.isfinite(multiply_adds(keras.Sequential([keras.Input((2,)), layers.Dense(1)])))
