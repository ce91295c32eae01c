"""A Transformer that translates: an encoder reads a sentence, a decoder writes another.

Vaswani et al. (2017), Attention Is All You Need, arXiv:1706.03762. Norms before attention and dense layers, with which
a rate needs little care: Xiong et al. (2020), arXiv:2002.04745. One table of embeddings for both languages and for the
logits: Press and Wolf (2017), arXiv:1608.05859. `kzoo.generation.translate` writes.

Shapes: b batch, s source length, t target length, v vocabulary, d dim.
"""

import keras
import numpy as np
from keras import layers, ops

from kzoo.layers import MultiHeadAttention, SinePositionEncoding
from kzoo.layers.arguments import check_rate, check_whole
from kzoo.models.nodes import nodes_of
from kzoo.models.text.bert import real_places
from kzoo.models.text.parts import normal

SIZES = {
    # Table 3 of the paper.
    "translation_base": dict(dim=512, depth=6, num_heads=8, dropout=0.1),
    "translation_big": dict(dim=1024, depth=6, num_heads=16, dropout=0.3),
    # For some ten thousand sentences.
    "translation_small": dict(dim=256, depth=3, num_heads=4, dropout=0.1),
}
VOCABULARY_SIZE = {"translation_base": 37_000, "translation_big": 37_000}


def around(x, branch, *, pre_norm, dropout, epsilon, name):
    """`x + branch(norm(x))`, or with the norm after: `norm(x + branch(x))`. Units of the branch drop out."""
    norm = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm")
    y = branch(norm(x) if pre_norm else x)
    if dropout:
        y = layers.Dropout(dropout, name=f"{name}_dropout")(y)
    x = layers.Add(name=f"{name}_add")([x, y])
    return x if pre_norm else norm(x)


def mlp(dim, mlp_ratio, name):
    """Two dense layers, by place."""
    wide = layers.Dense(int(dim * mlp_ratio), "relu", name=f"{name}_1")
    narrow = layers.Dense(dim, name=f"{name}_2")
    return lambda x: narrow(wide(x))


def translation(
    vocabulary_size,
    *,
    dim,
    depth,
    num_heads,
    decoder_depth=None,
    mlp_ratio=4,
    dropout=0.1,
    pre_norm=True,
    tie_embeddings=True,
    epsilon=1e-5,
    pad=0,
    name="translation",
):
    """Logits of what follows each place of the target: `{"source": (b, s), "target": (b, t)}` to `(b, t, v)`.

    Both are padded at their ends, and padding is seen by nobody. Layers are called `encoder_1_attention`,
    `encoder_1_mlp_1` …, `decoder_1_attention`, `decoder_1_across`, `decoder_1_mlp_1` …

    Args:
        vocabulary_size: v, of both languages together.
        dim: d, a multiple of `num_heads`.
        depth: blocks of the encoder.
        num_heads: attention heads of each block.
        decoder_depth: blocks of the decoder; by default `depth`.
        mlp_ratio: width of a block's dense layers over d.
        dropout: rate on the embeddings and on what attention and dense layers add.
        pre_norm: whether norms stand before attention and dense layers, and after the last block; otherwise after each.
        tie_embeddings: whether the table of embeddings also gives the logits.
        epsilon: of the norms.
        pad: the symbol of padding.
        name: of the model.

    Raises:
        ValueError: if a size is not a whole number, or the heads do not divide the width.
    """
    decoder_depth = depth if decoder_depth is None else decoder_depth
    check_whole(vocabulary_size=vocabulary_size, dim=dim, depth=depth, decoder_depth=decoder_depth)
    check_whole(num_heads=num_heads, mlp_ratio=mlp_ratio)
    check_rate(dropout=dropout)
    if dim % num_heads:
        raise ValueError(f"num_heads must divide dim. Received: dim={dim}, num_heads={num_heads}")
    options = dict(pre_norm=pre_norm, dropout=dropout, epsilon=epsilon)
    table = layers.ReversibleEmbedding(
        vocabulary_size, dim, embeddings_initializer=normal(dim**-0.5), name="embedding"
    )
    inputs = {part: keras.Input((None,), dtype="int32", name=part) for part in ("source", "target")}

    def embedded(part):
        x = layers.Rescaling(dim**0.5, name=f"{part}_scale")(table(inputs[part]))
        x = SinePositionEncoding(name=f"{part}_position")(x)
        return layers.Dropout(dropout, name=f"{part}_dropout")(x) if dropout else x

    def attention(name, **more):
        return MultiHeadAttention(num_heads, name=name, **more)

    def last(x, part):
        return layers.LayerNormalization(epsilon=epsilon, name=f"{part}_norm")(x) if pre_norm else x

    x, there = embedded("source"), real_places(inputs["source"], pad)
    for i in range(1, depth + 1):
        itself = attention(f"encoder_{i}_attention")
        x = around(x, lambda x, f=itself: f(x, key_mask=there), name=f"encoder_{i}_attention", **options)
        x = around(x, mlp(dim, mlp_ratio, f"encoder_{i}_mlp"), name=f"encoder_{i}_mlp", **options)
    memory = last(x, "encoder")  # (b, s, d)

    x = embedded("target")
    for i in range(1, decoder_depth + 1):
        itself = attention(f"decoder_{i}_attention", causal=True)
        x = around(x, itself, name=f"decoder_{i}_attention", **options)
        across = attention(f"decoder_{i}_across")
        x = around(x, lambda x, f=across: f(x, memory, key_mask=there), name=f"decoder_{i}_across", **options)
        x = around(x, mlp(dim, mlp_ratio, f"decoder_{i}_mlp"), name=f"decoder_{i}_mlp", **options)
    x = last(x, "decoder")
    if tie_embeddings:
        return keras.Model(inputs, table(x, reverse=True), name=name)
    return keras.Model(inputs, layers.Dense(vocabulary_size, use_bias=False, name="head")(x), name=name)


def across_weights(model, source, target):
    """Where the decoder looks in the source: layer name to weights `(b, n, t, s)` of its n heads, NumPy.

    Args:
        model: a `translation`, or any functional model with cross-attentions.
        source, target: `(b, s)` and `(b, t)`.
    """
    nodes = [node for node in nodes_of(model) if crosses(node)]
    rows = [[*node.input_tensors[:2], node.arguments.kwargs.get("key_mask")] for node in nodes]
    looked = keras.Model(model.input, [x for row in rows for x in row if x is not None])
    values = iter(looked({"source": np.asarray(source), "target": np.asarray(target)}, training=False))
    found = {}
    for node, row in zip(nodes, rows):
        query, memory, mask = (None if x is None else next(values) for x in row)
        _, weights = node.operation(query, memory, key_mask=mask, return_weights=True, training=False)
        found[node.operation.name] = ops.convert_to_numpy(weights)
    return found


def crosses(node):
    """Whether a call in a model's graph is of attention to another sequence."""
    return isinstance(node.operation, MultiHeadAttention) and not node.operation.self_attention
