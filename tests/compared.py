"""Functions that `test_comparison.py` hands to `kzoo.compare`."""

import keras
from keras import layers


def small_classifier():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(16, activation="relu"), layers.Dropout(0.5), layers.Dense(3)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def fails_on_torch():
    if keras.config.backend() == "torch":
        raise ValueError("this does not run on PyTorch")
    return small_classifier()


def crashes_on_torch():
    if keras.config.backend() == "torch":
        import os

        os.abort()
    return small_classifier()


def not_compiled():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])
