"""GPT-2 in Transformers, whose linear maps are stored as Keras stores them."""

from kzoo.weights.convert import Source

BLOCK = r"block_(\d+)_"


def _same(array, variable):
    return array


def _kernel(ours, theirs):
    """The weights `(in, out)` of one linear map of the blocks."""
    return rf"{BLOCK}{ours}/kernel", lambda i: f"h.{i - 1}.{theirs}.weight", _same


LINEAR = {
    "attention/query_key_value": "attn.c_attn",
    "attention/projection": "attn.c_proj",
    "mlp_1": "mlp.c_fc",
    "mlp_2": "mlp.c_proj",
}


def _module(theirs):
    return lambda i: f"h.{i - 1}.{theirs}"


SOURCES = {
    "transformers": Source(
        modules=(
            *((BLOCK + ours, _module(theirs)) for ours, theirs in LINEAR.items()),
            (rf"{BLOCK}norm_(\d)", lambda i, j: f"h.{i - 1}.ln_{j}"),
            ("norm", "ln_f"),
            ("head", "lm_head"),
        ),
        tensors=(
            ("embedding/embeddings", "wte.weight", _same),
            ("position/embeddings", "wpe.weight", _same),
            *(_kernel(*pair) for pair in LINEAR.items()),
        ),
        # Masks, and the table of embeddings once more.
        ignored=r"h\.\d+\.attn\.(bias|masked_bias)|lm_head\.weight",
        renamed=((r"^transformer\.", ""),),
    )
}
