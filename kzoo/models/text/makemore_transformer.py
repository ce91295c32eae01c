"""A small Transformer decoder: each place sees itself and all before it.

Vaswani et al. (2017), Attention Is All You Need, arXiv:1706.03762; normalised before each part and with GELU, as
Radford et al. (2019), GPT-2. Sizes of karpathy/makemore, whose loss on test names is 1.92 nats a letter.

Shapes: b batch, n length, v vocabulary, d dim.
"""

import keras
from keras import layers

from kzoo.layers import MultiHeadAttention, PositionEmbedding
from kzoo.models.text.parts import normal, token_input

SIZES = {"makemore_transformer": dict(context_length=16, dim=64, depth=4, num_heads=4)}


def block(x, *, num_heads, mlp_ratio, dropout, name):
    """Attention to what came before, then two dense layers, each on normalised places and added to them."""
    dim = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm_1")(x)
    attention = MultiHeadAttention(
        num_heads, causal=True, kernel_initializer=normal(0.02), name=f"{name}_attention"
    )
    x = added(x, attention(y), dropout, f"{name}_attention")
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm_2")(x)
    y = layers.Dense(int(dim * mlp_ratio), "gelu", kernel_initializer=normal(0.02), name=f"{name}_mlp_1")(y)
    y = layers.Dense(dim, kernel_initializer=normal(0.02), name=f"{name}_mlp_2")(y)
    return added(x, y, dropout, f"{name}_mlp")


def added(x, branch, dropout, name):
    """`x + branch`, units of the branch dropping out."""
    if dropout:
        branch = layers.Dropout(dropout, name=f"{name}_dropout")(branch)
    return layers.Add(name=f"{name}_add")([x, branch])


def makemore_transformer(
    vocabulary_size,
    *,
    context_length=16,
    dim=64,
    depth=4,
    num_heads=4,
    mlp_ratio=4,
    dropout=0.0,
    name="makemore_transformer",
):
    """Logits of what follows each place: `(b, n)` symbols, n up to `context_length`, to `(b, n, v)`.

    Args:
        vocabulary_size: v.
        context_length: how many places there are positions for.
        dim: d, a multiple of `num_heads`.
        depth: blocks.
        num_heads: attention heads of each block.
        mlp_ratio: width of a block's dense layers over d.
        dropout: rate on the embeddings and each block's branches.
        name: of the model.

    Raises:
        ValueError: if the heads do not divide the width.
    """
    if dim % num_heads:
        raise ValueError(f"num_heads must divide dim. Received: dim={dim}, num_heads={num_heads}")
    inputs = token_input(None, vocabulary_size)
    x = layers.Embedding(vocabulary_size, dim, embeddings_initializer=normal(0.02), name="embedding")(inputs)
    x = PositionEmbedding(context_length, name="position")(x)
    if dropout:
        x = layers.Dropout(dropout, name="position_dropout")(x)
    for i in range(1, depth + 1):
        x = block(x, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout, name=f"block_{i}")
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    x = layers.Dense(vocabulary_size, use_bias=False, kernel_initializer=normal(0.02), name="head")(x)
    return keras.Model(inputs, x, name=name)
