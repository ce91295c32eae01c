"""Vision transformers elsewhere: their attention has one matrix for queries, keys and values, or one for each."""

import numpy as np

from kzoo.weights.convert import Source

BLOCK = r"stage_\d+_block_(\d+)_"


def heads(array, variable):
    """A linear map's weights `(out, in)` or bias `(out,)`, with queries', keys' and values' features by heads."""
    turned = array.T if array.ndim == 2 else array
    return turned.reshape(variable.shape) if turned.size == np.prod(variable.shape) else turned


def third(i):
    """The queries (0), keys (1) or values (2) of a matrix that gives all three."""
    return lambda array, variable: heads(np.split(array, 3)[i], variable)


def first(array, variable):
    """Without the axis of the batch."""
    return array[0]


def same(array, variable):
    return array


def fused(module, weight="weight", bias="bias"):
    """`Source.tensors` of attention whose three matrices are one. `module` is its name, given the block's index."""
    return tuple(
        (rf"{BLOCK}attention/{ours}/{leaf}", lambda j, name=name: f"{module(j - 1)}{name}", third(i))
        for i, ours in enumerate(("query", "key", "value"))
        for leaf, name in (("kernel", weight), ("bias", bias))
    )


def linear(ours, module):
    """`Source.tensors` of one linear map of the attention."""
    return tuple(
        (rf"{BLOCK}attention/{ours}/{leaf}", lambda j, name=name: f"{module(j - 1)}.{name}", heads)
        for leaf, name in (("kernel", "weight"), ("bias", "bias"))
    )


def blocks(module, norm, mlp):
    """`Source.modules` of the blocks. `module` is a block's name, `norm` and `mlp` their two layers' names in it."""
    return (
        (rf"{BLOCK}norm_(\d)", lambda j, k: f"{module(j - 1)}.{norm[k - 1]}"),
        (rf"{BLOCK}mlp_(\d)", lambda j, k: f"{module(j - 1)}.{mlp[k - 1]}"),
    )


def _timm(j):
    return f"blocks.{j}"


def _stem(i, j, part):
    return f"patch_embed.backbone.stages.{i - 1}.blocks.{j - 1}.{part}"


STEM = (
    ("stem_conv/conv", "patch_embed.backbone.stem.conv"),
    ("stem_norm", "patch_embed.backbone.stem.norm"),
    (r"stem_stage_(\d)_block_(\d+)_shortcut_conv/conv", lambda i, j: _stem(i, j, "downsample.conv")),
    (r"stem_stage_(\d)_block_(\d+)_shortcut_norm", lambda i, j: _stem(i, j, "downsample.norm")),
    (r"stem_stage_(\d)_block_(\d+)_(conv_\d)/conv", lambda i, j, k: _stem(i, j, k.replace("_", ""))),
    (r"stem_stage_(\d)_block_(\d+)_(norm_\d)", lambda i, j, k: _stem(i, j, k.replace("_", ""))),
)
TIMM = Source(
    modules=(
        ("patch_embedding/projection", "patch_embed.proj"),
        *STEM,
        *blocks(_timm, ("norm1", "norm2"), ("mlp.fc1", "mlp.fc2")),
    ),
    tensors=(
        ("class_token/token", "cls_token", same),
        ("position_embedding/embeddings", "pos_embed", first),
        *fused(lambda j: f"blocks.{j}.attn.qkv.", "weight", "bias"),
        *linear("attention_output", lambda j: f"blocks.{j}.attn.proj"),
    ),
)


def _torchvision(j):
    return f"encoder.layers.encoder_layer_{j}"


TORCHVISION = Source(
    modules=(
        ("patch_embedding/projection", "conv_proj"),
        *blocks(_torchvision, ("ln_1", "ln_2"), ("mlp.0", "mlp.3")),
        ("norm", "encoder.ln"),
        ("head", "heads.head"),
    ),
    tensors=(
        ("class_token/token", "class_token", same),
        ("position_embedding/embeddings", "encoder.pos_embedding", first),
        *fused(lambda j: f"{_torchvision(j)}.self_attention.in_proj_", "weight", "bias"),
        *linear("attention_output", lambda j: f"{_torchvision(j)}.self_attention.out_proj"),
    ),
)


def transformers(prefix, head="classifier", modules=(), tensors=(), renamed=()):
    """The `Source` of Transformers' ViT, or of a network like it whose names begin with another prefix."""

    def block(j):
        return f"{prefix}.layers.{j}"

    return Source(
        modules=(
            ("patch_embedding/projection", f"{prefix}.embeddings.patch_embeddings.projection"),
            *blocks(block, ("layernorm_before", "layernorm_after"), ("mlp.fc1", "mlp.fc2")),
            ("norm", f"{prefix}.layernorm"),
            ("head", head),
            *modules,
        ),
        tensors=(
            ("class_token/token", f"{prefix}.embeddings.cls_token", same),
            ("position_embedding/embeddings", f"{prefix}.embeddings.position_embeddings", first),
            *linear("query", lambda j: f"{block(j)}.attention.q_proj"),
            *linear("key", lambda j: f"{block(j)}.attention.k_proj"),
            *linear("value", lambda j: f"{block(j)}.attention.v_proj"),
            *linear("attention_output", lambda j: f"{block(j)}.attention.o_proj"),
            *tensors,
        ),
        arguments=dict(epsilon=1e-12),
        ignored=r".*\.pooler\..*",
        # As files were written before Transformers 5.
        renamed=(
            (r"encoder\.layer\.", "layers."),
            (r"attention\.attention\.query", "attention.q_proj"),
            (r"attention\.attention\.key", "attention.k_proj"),
            (r"attention\.attention\.value", "attention.v_proj"),
            (r"attention\.output\.dense", "attention.o_proj"),
            (r"intermediate\.dense", "mlp.fc1"),
            (r"output\.dense", "mlp.fc2"),
            *renamed,
        ),
    )


SOURCES = {"timm": TIMM, "torchvision": TORCHVISION, "transformers": transformers("vit")}
