"""Swin transformers elsewhere."""

import numpy as np

from kzoo.weights.convert import Source

BLOCK = r"stage_(\d)_block_(\d+)_"
MERGE = r"stage_(\d)_merge_"
TABLE = rf"{BLOCK}attention/relative_position_bias"


def _same(array, variable):
    return array


def _joined(arrays, variable):
    """Queries', keys' and values' linear maps as one."""
    return np.concatenate(arrays).T


def _modules(block, merge, mlp):
    """Pairs for `Source.modules`. `block` gives a block's name, `merge` that of what leads to a stage."""
    return (
        (rf"{BLOCK}norm_(\d)", lambda i, j, k: f"{block(i - 1, j - 1)}.norm{k}"),
        (rf"{BLOCK}attention/query_key_value", lambda i, j: f"{block(i - 1, j - 1)}.attn.qkv"),
        (rf"{BLOCK}attention/projection", lambda i, j: f"{block(i - 1, j - 1)}.attn.proj"),
        (rf"{BLOCK}mlp_(\d)", lambda i, j, k: f"{block(i - 1, j - 1)}.{mlp[k - 1]}"),
        (rf"{MERGE}norm", lambda i: f"{merge(i - 1)}.norm"),
        (rf"{MERGE}dense", lambda i: f"{merge(i - 1)}.reduction"),
    )


def _table(block):
    return (TABLE, lambda i, j: f"{block(i - 1, j - 1)}.attn.relative_position_bias_table", _same)


def _timm(i, j):
    return f"layers.{i}.blocks.{j}"


def _earlier(arrays):
    """The authors' own files have each stage's merging at the end of the one before."""
    if "layers.0.downsample.reduction.weight" not in arrays:
        return ()
    return (
        (r"^layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) + 1}.downsample"),
        (r"^head\.(weight|bias)$", r"head.fc.\1"),
    )


TIMM = Source(
    modules=(
        ("patch_embedding", "patch_embed.proj"),
        ("stem", "patch_embed.norm"),
        *_modules(_timm, lambda i: f"layers.{i}.downsample", ("mlp.fc1", "mlp.fc2")),
        ("head", "head.fc"),
    ),
    tensors=(_table(_timm),),
    ignored=r".*(relative_position_index|attn_mask)",
    renamed=_earlier,
)


def _torchvision(i, j):
    return f"features.{2 * i + 1}.{j}"


TORCHVISION = Source(
    modules=(
        ("patch_embedding", "features.0.0"),
        ("stem", "features.0.2"),
        *_modules(_torchvision, lambda i: f"features.{2 * i}", ("mlp.0", "mlp.3")),
    ),
    tensors=(_table(_torchvision),),
    ignored=r".*relative_position_index",
)


def _transformers(i, j):
    return f"swin.encoder.layers.{i - 1}.blocks.{j - 1}"


def _three(leaf):
    return lambda i, j: tuple(f"{_transformers(i, j)}.attention.{part}_proj.{leaf}" for part in "qkv")


TRANSFORMERS = Source(
    modules=(
        ("patch_embedding", "swin.embeddings.patch_embeddings.projection"),
        ("stem", "swin.embeddings.norm"),
        (rf"{BLOCK}norm_1", lambda i, j: f"{_transformers(i, j)}.layernorm_before"),
        (rf"{BLOCK}norm_2", lambda i, j: f"{_transformers(i, j)}.layernorm_after"),
        (rf"{BLOCK}attention/projection", lambda i, j: f"{_transformers(i, j)}.attention.o_proj"),
        (rf"{BLOCK}mlp_(\d)", lambda i, j, k: f"{_transformers(i, j)}.mlp.fc{k}"),
        (rf"{MERGE}norm", lambda i: f"swin.encoder.layers.{i - 2}.downsample.norm"),
        (rf"{MERGE}dense", lambda i: f"swin.encoder.layers.{i - 2}.downsample.reduction"),
        ("norm", "swin.layernorm"),
        ("head", "classifier"),
    ),
    tensors=(
        (rf"{BLOCK}attention/query_key_value/kernel", _three("weight"), _joined),
        (rf"{BLOCK}attention/query_key_value/bias", _three("bias"), _joined),
        (
            TABLE,
            lambda i, j: (
                f"{_transformers(i, j)}.attention.relative_position_bias.relative_position_bias_table"
            ),
            _same,
        ),
    ),
    ignored=r".*relative_position_index",
    # As files were written before Transformers 5.
    renamed=(
        (r"attention\.self\.query", "attention.q_proj"),
        (r"attention\.self\.key", "attention.k_proj"),
        (r"attention\.self\.value", "attention.v_proj"),
        (
            r"attention\.self\.relative_position_bias_table",
            "attention.relative_position_bias.relative_position_bias_table",
        ),
        (r"attention\.output\.dense", "attention.o_proj"),
        (r"intermediate\.dense", "mlp.fc1"),
        (r"output\.dense", "mlp.fc2"),
    ),
)
SOURCES = {"timm": TIMM, "torchvision": TORCHVISION, "transformers": TRANSFORMERS}
