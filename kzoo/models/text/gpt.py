"""GPT: a Transformer decoder that writes on, place by place.

Radford et al. (2019), Language Models are Unsupervised Multitask Learners (GPT-2), after Radford et al. (2018) and
Vaswani et al. (2017), arXiv:1706.03762. Tied embeddings: Press and Wolf (2017), arXiv:1608.05859. Sizes for small
texts: karpathy/nanoGPT, whose losses on Tiny Shakespeare are 1.47 and 1.88 nats a character.

Shapes: b batch, n length, v vocabulary, d dim.
"""

import keras
from keras import layers

from kzoo.layers import MultiHeadAttention, PositionEmbedding
from kzoo.layers.activations import gelu_tanh
from kzoo.layers.arguments import check_rate, check_whole
from kzoo.models.text.parts import normal, token_input

SIZES = {
    # GPT-2: table 2 of the paper; its heads are 64 wide.
    "gpt2": dict(dim=768, depth=12, num_heads=12),
    "gpt2_medium": dict(dim=1024, depth=24, num_heads=16),
    "gpt2_large": dict(dim=1280, depth=36, num_heads=20),
    "gpt2_xl": dict(dim=1600, depth=48, num_heads=25),
    # nanoGPT: for Tiny Shakespeare on a GPU, and on a CPU.
    "nanogpt": dict(max_sequence_length=256, dim=384, depth=6, num_heads=6, use_bias=False),
    "nanogpt_small": dict(max_sequence_length=64, dim=128, depth=4, num_heads=4, use_bias=False),
}
VOCABULARY_SIZE = {name: 50_257 for name in SIZES if name.startswith("gpt2")}


def block(x, *, num_heads, mlp_ratio, position, dropout, use_bias, epsilon, deviation, name):
    """Attention to what came before, then two dense layers, each on normalised places and added to them.

    `deviation` is that of the first weights of what is added to the places.
    """
    dim, norm = x.shape[-1], dict(epsilon=epsilon, center=use_bias)
    attention = MultiHeadAttention(
        num_heads,
        causal=True,
        position=position,
        use_bias=use_bias,
        dropout=dropout,
        kernel_initializer=normal(0.02),
        output_initializer=normal(deviation),
        name=f"{name}_attention",
    )
    y = attention(layers.LayerNormalization(**norm, name=f"{name}_norm_1")(x))
    x = added(x, y, dropout, f"{name}_attention")
    y = layers.LayerNormalization(**norm, name=f"{name}_norm_2")(x)
    y = layers.Dense(
        int(dim * mlp_ratio),
        gelu_tanh,
        use_bias=use_bias,
        kernel_initializer=normal(0.02),
        name=f"{name}_mlp_1",
    )(y)
    y = layers.Dense(dim, use_bias=use_bias, kernel_initializer=normal(deviation), name=f"{name}_mlp_2")(y)
    return added(x, y, dropout, name)


def added(x, branch, dropout, name):
    """`x + branch`, units of the branch dropping out."""
    if dropout:
        branch = layers.Dropout(dropout, name=f"{name}_dropout")(branch)
    return layers.Add(name=f"{name}_add" if name.endswith("attention") else name)([x, branch])


def gpt(
    vocabulary_size,
    *,
    max_sequence_length=1024,
    dim=768,
    depth=12,
    num_heads=12,
    mlp_ratio=4,
    position=None,
    dropout=0.0,
    use_bias=True,
    tie_embeddings=True,
    epsilon=1e-5,
    name="gpt",
):
    """Logits of what follows each place: `(b, n)` symbols to `(b, n, v)`.

    `kzoo.generate(model, prompts, count)` writes on. Layers are called `embedding`, `position`, `block_1` … (what a
    block gives; its parts are `block_1_attention`, `block_1_mlp_1` …), `norm` and, if it is not tied, `head`.

    Args:
        vocabulary_size: v.
        max_sequence_length: how many places there are learned positions for, at least n.
        dim: d, a multiple of `num_heads`.
        depth: blocks.
        num_heads: attention heads of each block.
        mlp_ratio: width of a block's dense layers over d.
        position: instead of learned positions, those that attention itself knows: a function that makes a layer for
            each block, such as `kzoo.layers.RotaryPosition`. Any length will do then.
        dropout: rate on the embeddings, on attention's weights and on each block's branches.
        use_bias: of the linear maps and the norms.
        tie_embeddings: whether the table of embeddings also gives the logits.
        epsilon: of the norms.
        name: of the model.

    Raises:
        ValueError: if a size is not a whole number, or the heads do not divide the width.
    """
    check_whole(max_sequence_length=max_sequence_length, dim=dim, depth=depth, num_heads=num_heads)
    check_rate(dropout=dropout)
    if dim % num_heads:
        raise ValueError(f"num_heads must divide dim. Received: dim={dim}, num_heads={num_heads}")
    inputs = token_input(None, vocabulary_size)
    embedding = layers.ReversibleEmbedding(
        vocabulary_size, dim, embeddings_initializer=normal(0.02), name="embedding"
    )
    x = embedding(inputs)  # (b, n, d)
    if position is None:
        x = PositionEmbedding(max_sequence_length, name="position")(x)
    if dropout:
        x = layers.Dropout(dropout, name="position_dropout")(x)
    sizes = dict(
        num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout, use_bias=use_bias, epsilon=epsilon
    )
    for i in range(1, depth + 1):
        # Blocks add to their input: so drawn, what comes out of all of them spreads as what went in.
        deviation = 0.02 * (2 * depth) ** -0.5
        own = None if position is None else position()
        x = block(x, position=own, deviation=deviation, name=f"block_{i}", **sizes)
    x = layers.LayerNormalization(epsilon=epsilon, center=use_bias, name="norm")(x)
    if tie_embeddings:
        return keras.Model(inputs, embedding(x, reverse=True), name=name)
    head = layers.Dense(vocabulary_size, use_bias=False, kernel_initializer=normal(0.02), name="head")
    return keras.Model(inputs, head(x), name=name)
