"""BERT elsewhere: queries, keys and values have a linear map each; heads stand under `cls` and `classifier`."""

import numpy as np

from kzoo.weights.convert import Source

BLOCK = r"block_(\d+)_"


def _block(i):
    return f"encoder.layer.{i - 1}"


def _maps(i, leaf):
    return tuple(f"{_block(i)}.attention.self.{part}.{leaf}" for part in ("query", "key", "value"))


def _side_by_side(arrays, variable):
    """Three maps `(out, in)`, or their biases, as the columns of one."""
    return np.concatenate([array.T for array in arrays], axis=-1)


def _same(array, variable):
    return array


SOURCES = {
    "transformers": Source(
        modules=(
            ("embedding_norm", "embeddings.LayerNorm"),
            (rf"{BLOCK}attention/projection", lambda i: f"{_block(i)}.attention.output.dense"),
            (rf"{BLOCK}attention_norm", lambda i: f"{_block(i)}.attention.output.LayerNorm"),
            (rf"{BLOCK}mlp_1", lambda i: f"{_block(i)}.intermediate.dense"),
            (rf"{BLOCK}mlp_2", lambda i: f"{_block(i)}.output.dense"),
            (rf"{BLOCK}mlp_norm", lambda i: f"{_block(i)}.output.LayerNorm"),
            ("pooler", "pooler.dense"),
            ("head", "classifier"),
            ("head_dense", "cls.predictions.transform.dense"),
            ("head_norm", "cls.predictions.transform.LayerNorm"),
            ("head_bias", "cls.predictions"),
        ),
        tensors=(
            ("token_embedding/embeddings", "embeddings.word_embeddings.weight", _same),
            ("position_embedding/embeddings", "embeddings.position_embeddings.weight", _same),
            ("segment_embedding/embeddings", "embeddings.token_type_embeddings.weight", _same),
            (rf"{BLOCK}attention/query_key_value/kernel", lambda i: _maps(i, "weight"), _side_by_side),
            (rf"{BLOCK}attention/query_key_value/bias", lambda i: _maps(i, "bias"), _side_by_side),
        ),
        # Heads that the model at hand has not, and what follows from other tensors.
        ignored=r"pooler\..*|cls\..*|classifier\..*|qa_outputs\..*|embeddings\.position_ids",
        renamed=(
            (r"^bert\.", ""),
            (r"LayerNorm\.gamma$", "LayerNorm.weight"),
            (r"LayerNorm\.beta$", "LayerNorm.bias"),
            (r"^qa_outputs\.", "classifier."),
        ),
    )
}
