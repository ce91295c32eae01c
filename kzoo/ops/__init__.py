"""Functions on tensors beside `keras.ops`."""

from kzoo.ops.attention import dot_product_attention, masked_softmax
from kzoo.ops.distributions import Categorical, DiagonalGaussian, distribution_of
from kzoo.ops.masks import (
    block_mask,
    causal_mask,
    combine_masks,
    fixed_layout,
    local_mask,
    padding_mask,
    strided_mask,
    window_layout,
)
from kzoo.ops.returns import discounted_returns, generalised_advantages, n_step_targets
from kzoo.ops.sparse_attention import block_sparse_attention, local_attention, strided_attention

__all__ = [
    "Categorical",
    "DiagonalGaussian",
    "block_mask",
    "block_sparse_attention",
    "causal_mask",
    "combine_masks",
    "discounted_returns",
    "distribution_of",
    "dot_product_attention",
    "fixed_layout",
    "generalised_advantages",
    "local_attention",
    "local_mask",
    "masked_softmax",
    "n_step_targets",
    "padding_mask",
    "strided_attention",
    "strided_mask",
    "window_layout",
]
