"""Neighbours joined two by two, as in WaveNet's tree of dilated convolutions: symbols, then pairs, then pairs of those.

van den Oord et al. (2016), WaveNet, arXiv:1609.03499, figure 3; without its gates and residuals, as karpathy/makemore
builds it (76,579 weights on names, 1.993 nats a letter).

Shapes: b batch, n context length, v vocabulary, d dim, h hidden dim.
"""

import keras
from keras import layers

from kzoo.models.text.parts import normal, scaled, token_input

SIZES = {"makemore_wavenet": dict(context_length=8, dim=24, hidden_dim=128)}


def fused(x, hidden_dim, name):
    """Each two neighbours as one, `(b, n, d)` to `(b, n / 2, h)`: a convolution of width and stride 2."""
    n, d = x.shape[1:]
    x = layers.Reshape((n // 2, 2 * d), name=f"{name}_pairs")(x)
    x = layers.Dense(hidden_dim, use_bias=False, kernel_initializer=scaled(), name=f"{name}_dense")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.Activation("tanh", name=name)(x)


def makemore_wavenet(vocabulary_size, *, context_length=8, dim=24, hidden_dim=128, name="makemore_wavenet"):
    """A tree of pairs: `(b, n)` symbols to `(b, v)` logits of the next.

    Args:
        vocabulary_size: v.
        context_length: n, a power of two; the tree has log2(n) levels.
        dim: d, of each symbol's embedding.
        hidden_dim: h, of each pair.
        name: of the model.

    Raises:
        ValueError: if the context is no power of two above 1.
    """
    inputs = token_input(context_length, vocabulary_size)
    if context_length < 2 or context_length & (context_length - 1):
        raise ValueError(
            f"pairs of pairs need a power of two: 2, 4, 8 … Received: context_length={context_length}"
        )
    x = layers.Embedding(vocabulary_size, dim, embeddings_initializer=normal(), name="embedding")(inputs)
    for level in range(1, context_length.bit_length()):
        x = fused(x, hidden_dim, f"block_{level}")
    x = layers.Flatten(name="flatten")(x)  # (b, h)
    # Small, so that at first every symbol is about as likely.
    x = layers.Dense(vocabulary_size, kernel_initializer=scaled(0.1), name="head")(x)
    return keras.Model(inputs, x, name=name)
