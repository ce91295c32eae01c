"""Fast embeddings and attention on PyTorch, for `torch_accelerate.py`: one call of the kernel, none of Keras's between.

Of kzoo's own layers, therefore it imports them; it is itself imported by `kzoo.accelerate` alone.
"""

import torch
from torch.nn import functional as F

from kzoo.backend.state import replace
from kzoo.backend.torch_graph import can_be_called_directly, changed_since
from kzoo.backend.torch_layout import PLAIN_DTYPES, kernels_serve, product, tensor
from kzoo.ops.attention import differentiated_twice


def embedding(layer):
    """`Embedding` and `ReversibleEmbedding`: rows of the table, or products with them."""
    if layer.mask_zero:
        raise NotImplementedError("it makes a mask (mask_zero)")
    if getattr(layer, "logit_soft_cap", None) is not None or not getattr(layer, "tie_weights", True):
        raise NotImplementedError("its reverse is not the product with its rows")
    if getattr(layer, "reverse_dtype", None) not in (None, layer.compute_dtype):
        raise NotImplementedError(f"its reverse is in another precision ({layer.reverse_dtype})")

    def call(original, inputs, reverse=False):
        table = tensor(layer.embeddings)
        served = table.dtype in PLAIN_DTYPES and str(table.dtype).endswith(layer.compute_dtype)
        if reverse and served and kernels_serve(inputs) and inputs.dtype == table.dtype:
            return product(inputs, table)
        if not reverse and served and numbers(inputs):
            return F.embedding(inputs, table)
        return original(inputs, reverse=True) if reverse else original(inputs)

    replace(layer, "call", call)
    return "one look-up of the engine"


def numbers(x):
    """Whether these are whole numbers here and now, as the engine's look-up takes them."""
    return (
        isinstance(x, torch.Tensor)
        and x.dtype in (torch.int32, torch.int64)
        and not (x.is_meta or torch.compiler.is_compiling() or torch.jit.is_tracing())
    )


def position_embedding(layer):
    """Learned positions, added where they stand."""

    def call(original, inputs, offset=0):
        table = tensor(layer.embeddings)
        if not (isinstance(offset, int) and kernels_serve(inputs) and inputs.dtype == table.dtype):
            return original(inputs, offset=offset)
        return inputs + table[offset : offset + inputs.shape[1]]

    replace(layer, "call", call)
    return "added without a copy"


def attention(layer):
    """Self-attention without masks, weights or biases; in training, or with a cache that is filled up to a number."""
    if not layer.self_attention:
        raise NotImplementedError("it attends to another sequence")
    if layer.window or any(hasattr(layer.position, name) for name in ("bias", "values")):
        raise NotImplementedError("its scores have a window or a bias")
    parts = layer.query_key_value, layer.projection
    if not all(map(can_be_called_directly, (layer, *parts))):
        raise NotImplementedError(f"it computes in {layer.dtype_policy.name}")
    n, m, h = layer._sizes
    options = {"scale": layer._scale, "enable_gqa": n != m}

    def call(original, query, *others, cache=None, cache_index=None, training=None, **masks):
        served = (
            not others
            and all(value is None or value is False for value in masks.values())
            and kernels_serve(query)
            and query.dtype == torch.float32
            and not (training and layer.dropout)
            and (cache is None or written_simply(query, cache, cache_index))
            and not any(map(changed_since, parts))
            and not (query.requires_grad and differentiated_twice())
        )
        if not served:
            masks |= {"cache": cache, "cache_index": cache_index, "training": training}
            return original(query, *others, **masks)
        b, t, _ = query.shape
        query, key, value = parts[0].call(query).view(b, t, n + 2 * m, h).split((n, m, m), 2)
        if layer.position is not None:
            query, key = layer.position.rotate(query, key, cache_index or 0)
        causal = layer.causal and t > 1
        if cache is not None:
            end = cache_index + t
            for kept, new in zip(cache, (key, value)):
                kept[:, cache_index:end] = new
            key, value = (kept[:, :end] for kept in cache)
            query = query.contiguous()
        heads = (x.transpose(1, 2) for x in (query, key, value))
        output = F.scaled_dot_product_attention(*heads, is_causal=causal, **options)
        output = parts[1].call(output.transpose(1, 2).reshape(b, t, n * h))
        return output if cache is None else (output, cache)

    def empty_cache(original, batch_size, max_length):
        # A head's places lie side by side, as the kernel reads them.
        return tuple(x.transpose(1, 2).contiguous().transpose(1, 2) for x in original(batch_size, max_length))

    replace(layer, "call", call)
    replace(layer, "empty_cache", empty_cache)
    return "linear maps and attention without a question between them"


def written_simply(query, cache, index):
    """Whether nothing stands before a prompt, or one symbol goes on, in a cache that may be written to in place."""
    if not isinstance(index, int) or torch.is_grad_enabled():
        return False
    return (index == 0 or query.shape[1] == 1) and index + query.shape[1] <= cache[0].shape[1]
