"""Transformers' BERT with random weights, for kzoo's to equal: `python tests/text/bert_oracle.py FOLDER`.

Writes for each head a checkpoint in the library's own format and the arrays of two lengths, one odd, with padding.
"""

import os
import sys
from pathlib import Path

import numpy as np

SIZES = dict(dim=12, depth=2, num_heads=3, max_sequence_length=20)
VOCABULARY = 29
LENGTHS = (9, 16)
HEADS = {
    "encoder": "BertModel",
    "classifier": "BertForSequenceClassification",
    "token_classifier": "BertForTokenClassification",
    "span_extractor": "BertForQuestionAnswering",
    "masked_language_model": "BertForMaskedLM",
}


def inputs(length):
    """Tokens `(3, n)` padded with 0 on the right, and segments."""
    random = np.random.default_rng(length)
    tokens = random.integers(1, VOCABULARY, (3, length))
    for row, real in enumerate((length, length - 3, 1)):
        tokens[row, real:] = 0
    segments = (np.arange(length) >= length // 2)[None] & (tokens > 0)
    return {"tokens": tokens.astype("int32"), "segments": segments.astype("int32")}


def write(folder, head, builder):
    import torch
    import transformers

    settings = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=SIZES["dim"],
        num_hidden_layers=SIZES["depth"],
        num_attention_heads=SIZES["num_heads"],
        intermediate_size=4 * SIZES["dim"],
        max_position_embeddings=SIZES["max_sequence_length"],
        num_labels=2 if head == "span_extractor" else 3,
    )
    torch.manual_seed(0)
    theirs = getattr(transformers, builder)(settings).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    theirs.save_pretrained(folder / head)
    (folder / head / "model.safetensors").rename(folder / f"{head}.safetensors")
    arrays = {}
    for length in LENGTHS:
        given = {name: torch.from_numpy(array).long() for name, array in inputs(length).items()}
        with torch.no_grad():
            out = theirs(
                input_ids=given["tokens"],
                token_type_ids=given["segments"],
                attention_mask=(given["tokens"] != 0).long(),
                output_hidden_states=True,
            )
        if head == "span_extractor":
            arrays |= {f"{length}.start": out.start_logits, f"{length}.end": out.end_logits}
        else:
            arrays[f"{length}.output"] = out.last_hidden_state if head == "encoder" else out.logits
        for i, state in enumerate(out.hidden_states):
            arrays[f"{length}.hidden.{i}"] = state
    np.savez(folder / f"{head}.npz", **{name: value.numpy() for name, value in arrays.items()})


def main():
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    folder = Path(sys.argv[1])
    for head, builder in HEADS.items():
        write(folder, head, builder)


if __name__ == "__main__":
    main()
