"""Transformers' GPT-2 with random weights, for kzoo's to equal: `python tests/text/gpt_oracle.py FOLDER`.

Writes a checkpoint in each of the library's formats, and the logits and hidden states of two lengths, one odd.
"""

import os
import sys
from pathlib import Path

import numpy as np

SIZES = dict(dim=12, depth=2, num_heads=3, max_sequence_length=20)
VOCABULARY = 29
LENGTHS = (7, 20)


def tokens(length):
    """Tokens `(2, n)`."""
    return np.random.default_rng(length).integers(0, VOCABULARY, (2, length)).astype("int32")


def main():
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    import torch
    import transformers

    folder = Path(sys.argv[1])
    settings = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=SIZES["max_sequence_length"],
        n_embd=SIZES["dim"],
        n_layer=SIZES["depth"],
        n_head=SIZES["num_heads"],
    )
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(settings).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    theirs.save_pretrained(folder)
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
    arrays = {}
    for length in LENGTHS:
        with torch.no_grad():
            out = theirs(torch.from_numpy(tokens(length)).long(), output_hidden_states=True)
            written = theirs.generate(
                torch.from_numpy(tokens(length)[:, :6]).long(), max_new_tokens=12, do_sample=False,
                eos_token_id=None, pad_token_id=0,
            )  # fmt: skip
        arrays |= {f"{length}.hidden.{i}": state.numpy() for i, state in enumerate(out.hidden_states)}
        arrays |= {f"{length}.logits": out.logits.numpy(), f"{length}.written": written[:, 6:].numpy()}
    np.savez(folder / "arrays.npz", **arrays)


if __name__ == "__main__":
    main()
