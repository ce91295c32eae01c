"""BERT: a Transformer encoder that reads both ways.

Devlin et al. (2018), BERT, arXiv:1810.04805; the smaller sizes of Turc et al. (2019), arXiv:1908.08962; MiniLM's of
Wang et al. (2020), arXiv:2002.10957. What is put on top, say a classifier, is in `bert_heads.py`.

Shapes: b batch, n length, v vocabulary, d dim.
"""

import keras
from keras import layers, ops

from kzoo.layers import MultiHeadAttention, PositionEmbedding
from kzoo.layers.arguments import check_rate, check_whole

SIZES = {  # arXiv:1810.04805, section 3; arXiv:1908.08962, table 1
    "bert_tiny": dict(depth=2, dim=128, num_heads=2),
    "bert_mini": dict(depth=4, dim=256, num_heads=4),
    "bert_small": dict(depth=4, dim=512, num_heads=8),
    "bert_medium": dict(depth=8, dim=512, num_heads=8),
    "bert_base": dict(depth=12, dim=768, num_heads=12),
    "bert_large": dict(depth=24, dim=1024, num_heads=16),
    "minilm_l6": dict(depth=6, dim=384, num_heads=12),
    "minilm_l12": dict(depth=12, dim=384, num_heads=12),
}
VOCABULARY_SIZE = 30522


def initial():
    """The paper's first weights."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


def block(x, mask, *, num_heads, mlp_ratio, dropout, epsilon, name):
    """Attention of the real places, then two dense layers, each added to its input and normalised after."""
    dim = x.shape[-1]
    attention = MultiHeadAttention(
        num_heads, dropout=dropout, kernel_initializer=initial(), name=f"{name}_attention"
    )
    x = added(x, attention(x, key_mask=mask), dropout, epsilon, f"{name}_attention")
    y = layers.Dense(dim * mlp_ratio, "gelu", kernel_initializer=initial(), name=f"{name}_mlp_1")(x)
    y = layers.Dense(dim, kernel_initializer=initial(), name=f"{name}_mlp_2")(y)
    return added(x, y, dropout, epsilon, f"{name}_mlp")


def added(x, branch, dropout, epsilon, name):
    """`LayerNorm(x + Dropout(branch))`."""
    if dropout:
        branch = layers.Dropout(dropout, name=f"{name}_dropout")(branch)
    return layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm")(
        layers.Add(name=f"{name}_add")([x, branch])
    )


def real_places(tokens, pad=0):
    """Which places are not padding, boolean `(b, n)`."""
    return ops.not_equal(tokens, pad)


def bert(
    vocabulary_size,
    *,
    dim,
    depth,
    num_heads,
    max_sequence_length=512,
    mlp_ratio=4,
    segments=2,
    pairs=False,
    dropout=0.1,
    epsilon=1e-12,
    pad=0,
    name="bert",
):
    """What each place means in its context: `(b, n)` tokens to `(b, n, d)`.

    Padding is seen by nobody; what stands at its places means nothing.

    Args:
        vocabulary_size: v.
        dim: d, a multiple of `num_heads`.
        depth: blocks.
        num_heads: attention heads of each block.
        max_sequence_length: how many places there are positions for.
        mlp_ratio: width of a block's dense layers over d.
        segments: kinds of sentences that the embedding tells apart.
        pairs: whether the model takes `{"tokens", "segments"}`, both `(b, n)`, instead of tokens that are all of the
            first segment.
        dropout: rate on the embeddings, the attention's weights and each block's branches.
        epsilon: of the layer normalisations.
        pad: the token of padding.
        name: of the model.

    Raises:
        ValueError: if the heads do not divide the width, or a size is no whole number above 0.
    """
    check_whole(vocabulary_size=vocabulary_size, dim=dim, depth=depth, num_heads=num_heads, segments=segments)
    check_whole(max_sequence_length=max_sequence_length, mlp_ratio=mlp_ratio)
    check_rate(dropout=dropout)
    if dim % num_heads:
        raise ValueError(f"num_heads must divide dim. Received: dim={dim}, num_heads={num_heads}")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    kinds = keras.Input((None,), dtype="int32", name="segments") if pairs else ops.zeros_like(tokens)
    mask = real_places(tokens, pad)
    table = layers.ReversibleEmbedding(
        vocabulary_size, dim, embeddings_initializer=initial(), name="token_embedding"
    )
    x = PositionEmbedding(max_sequence_length, initial(), name="position_embedding")(table(tokens))
    told = layers.Embedding(segments, dim, embeddings_initializer=initial(), name="segment_embedding")(kinds)
    x = layers.Add(name="embedding_add")([x, told])
    x = layers.LayerNormalization(epsilon=epsilon, name="embedding_norm")(x)
    if dropout:
        x = layers.Dropout(dropout, name="embedding_dropout")(x)
    settings = dict(num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout, epsilon=epsilon)
    for i in range(1, depth + 1):
        x = block(x, mask, name=f"block_{i}", **settings)
    return keras.Model({"tokens": tokens, "segments": kinds} if pairs else tokens, x, name=name)
