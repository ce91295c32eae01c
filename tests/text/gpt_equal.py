"""How far kzoo's GPT with Transformers' weights is from Transformers', on the engine of `KERAS_BACKEND`.

`python tests/text/gpt_equal.py FOLDER OUT.json`, after `gpt_oracle.py FOLDER`.
"""

import json
import sys
from pathlib import Path

import gpt_oracle
import keras
import numpy as np

import kzoo


def network(path):
    return kzoo.create_model(
        "gpt2", pretrained=f"transformers:{path}", vocabulary_size=gpt_oracle.VOCABULARY, **gpt_oracle.SIZES
    )  # fmt: skip


def distances(folder):
    """Array to max |a - b| over max |b|; what greedy writing gives, to how many symbols are others."""
    model = network(folder / "model.safetensors")
    again = network(folder / "pytorch_model.bin")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    # Their last hidden state is normalised.
    names = ["position", *(f"block_{i}" for i in range(1, gpt_oracle.SIZES["depth"])), "norm"]
    states = {f"hidden.{i}": model.get_layer(name).output for i, name in enumerate(names)}
    both = keras.Model(model.input, states | {"logits": model.output})
    found = {}
    with np.load(folder / "arrays.npz") as theirs:
        for length in gpt_oracle.LENGTHS:
            given = gpt_oracle.tokens(length)
            for name, a in both.predict_on_batch(given).items():
                b = theirs[f"{length}.{name}"]
                assert a.shape == b.shape and np.std(b) > 1e-2, (name, a.shape, b.shape)
                found[f"{length}.{name}"] = float(np.abs(a - b).max() / np.abs(b).max())
            written = np.stack(kzoo.generate(model, given[:, :6], 12))
            found[f"{length}.written"] = float((written != theirs[f"{length}.written"]).sum())
    return found


if __name__ == "__main__":
    place, out = sys.argv[1:]
    Path(out).write_text(json.dumps(distances(Path(place))))
