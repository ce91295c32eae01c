"""How far kzoo's BERT with Transformers' weights is from Transformers', on the engine of `KERAS_BACKEND`.

`python tests/text/bert_equal.py FOLDER OUT.json`, after `bert_oracle.py FOLDER`.
"""

import json
import sys
from pathlib import Path

import bert_oracle
import keras
import numpy as np

import kzoo
from kzoo.models.text import bert_heads
from kzoo.weights.load import load_weights


def network(head):
    encoder = kzoo.create_model(
        "bert_tiny", vocabulary_size=bert_oracle.VOCABULARY, pairs=True, **bert_oracle.SIZES
    )
    if head == "encoder":
        return encoder, encoder
    classes = {"num_classes": 3} if head.endswith("classifier") else {}
    return encoder, getattr(bert_heads, head)(encoder, **classes)


def distances(head, folder):
    """Array to max |a - b| over max |b|, at the real places."""
    encoder, model = network(head)
    load_weights(model, "bert", "transformers", folder / f"{head}.safetensors")
    states = [encoder.get_layer("embedding_norm").output]
    states += [encoder.get_layer(f"block_{i + 1}_mlp_norm").output for i in range(bert_oracle.SIZES["depth"])]
    outputs = {f"hidden.{i}": state for i, state in enumerate(states)}
    outputs |= model.output if isinstance(model.output, dict) else {"output": model.output}
    both = keras.Model(model.input, outputs)
    found = {}
    with np.load(folder / f"{head}.npz") as theirs:
        for length in bert_oracle.LENGTHS:
            given = bert_oracle.inputs(length)
            ours = both.predict_on_batch(given)
            for name in outputs:
                a, b = np.asarray(ours[name]), theirs[f"{length}.{name}"]
                assert a.shape == b.shape, (head, name, a.shape, b.shape)
                if name != "output" or head != "classifier":  # per place
                    counts = given["tokens"] != 0
                    if name in ("start", "end"):
                        counts &= given["segments"] == 1
                        assert np.all(a[~counts] < -1e8)
                    a, b = a[counts], b[counts]
                assert np.std(b) > 1e-3, (head, name)
                found[f"{length}.{name}"] = float(np.abs(a - b).max() / np.abs(b).max())
    return found


if __name__ == "__main__":
    place, out = sys.argv[1:]
    Path(out).write_text(json.dumps({head: distances(head, Path(place)) for head in bert_oracle.HEADS}))
