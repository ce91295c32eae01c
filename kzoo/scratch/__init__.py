"""Deep learning by hand, in NumPy: every forward and backward pass written out, small enough to read in an evening.

In order of reading: `layer`, `activations`, `dense`, `losses`, `optimizers`, `sequential`, then `windows`,
`convolution` and `pooling`, `normalization`, `recurrent`, `attention`; `gradient_check` tells whether they are right,
and `autograd` makes the backward passes unnecessary.

    model = Sequential([Dense(784, 128), Activation(activations.relu), Dense(128, 10)])
    for loss in train(model, x, y, loss=losses.sparse_categorical_crossentropy, optimizer=optimizers.Adam(), epochs=5):
        ...

It imports nothing but NumPy and the standard library. Names, weight shapes and defaults are Keras's, so that kzoo's
tests can hold layers on three engines against it.
"""

from kzoo.scratch import activations, autograd, initializers, losses, optimizers, regularizers
from kzoo.scratch.activations import Activation
from kzoo.scratch.attention import MultiHeadAttention, ScaledDotProductAttention
from kzoo.scratch.convolution import Conv2D
from kzoo.scratch.dense import Dense, Embedding
from kzoo.scratch.gradient_check import check_gradients
from kzoo.scratch.layer import Dropout, Flatten, Layer
from kzoo.scratch.normalization import BatchNormalization, LayerNormalization
from kzoo.scratch.perceptron import Perceptron
from kzoo.scratch.pooling import AveragePooling2D, MaxPooling2D
from kzoo.scratch.recurrent import GRU, LSTM, SimpleRNN
from kzoo.scratch.sequential import Sequential, count_parameters, train, train_step

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Layer",
    "LayerNormalization",
    "MaxPooling2D",
    "MultiHeadAttention",
    "Perceptron",
    "ScaledDotProductAttention",
    "Sequential",
    "SimpleRNN",
    "activations",
    "autograd",
    "check_gradients",
    "count_parameters",
    "initializers",
    "losses",
    "optimizers",
    "regularizers",
    "train",
    "train_step",
]
