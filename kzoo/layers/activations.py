"""Activations beside `keras.activations`, under names that saved files keep."""

import keras


@keras.saving.register_keras_serializable("kzoo")
def gelu_tanh(x):
    """GELU by way of tanh: `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, as GPT-2 has it.

    Hendrycks and Gimpel (2016), Gaussian Error Linear Units, arXiv:1606.08415, section 2. An activation given by name
    takes no arguments, and Keras's `"gelu"` is the exact one.
    """
    return keras.activations.gelu(x, approximate=True)
