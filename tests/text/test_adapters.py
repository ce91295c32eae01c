"""Adapters: kept alone, put on again, merged; and a loss on answers alone."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo import adapters
from kzoo.data.instructed import instructed, prompt_of
from kzoo.data.instructions import Instruction
from kzoo.data.sequences import IGNORED
from kzoo.data.tokens import Characters

TOKENS = np.random.default_rng(0).integers(0, 7, (4, 6)).astype("int32")
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUESTIONS = [Instruction("Add.", "1 1", "2"), Instruction("Say hi.", "", "hi")]


def network():
    kzoo.set_seed(3)
    return kzoo.create_model("gpt2", vocabulary_size=7, max_sequence_length=8, dim=8, depth=1, num_heads=2)


def tuned():
    """A network whose adapters were trained, beside what its own matrices were before."""
    model = network()
    adapters.add_adapters(model, rank=2, alpha=3)
    before = [variable.numpy() for variable in model.non_trainable_variables]
    model.compile(keras.optimizers.Adam(0.05), LOSS)
    model.fit(TOKENS, (TOKENS + 1) % 7, epochs=3, verbose=0)
    return model, before


def test_adapters_alone_learn_and_give_the_same_when_put_on_again_or_merged(tmp_path):
    model, before = tuned()
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    told = model.predict_on_batch(TOKENS)
    assert np.abs(told - network().predict_on_batch(TOKENS)).max() > 1e-2
    adapters.save_adapters(model, tmp_path / "a.npz")

    again = network()
    adapters.load_adapters(again, tmp_path / "a.npz")
    np.testing.assert_allclose(again.predict_on_batch(TOKENS), told, rtol=1e-5, atol=1e-6)
    assert {v.path for v in again.trainable_variables} == {v.path for v in model.trainable_variables}

    plain = adapters.merged(again)
    np.testing.assert_allclose(plain.predict_on_batch(TOKENS), told, rtol=1e-4, atol=1e-5)
    assert len(plain.trainable_variables) == len(network().trainable_variables)
    assert not any("lora" in variable.path for variable in plain.variables)
    plain.save(tmp_path / "b.keras")
    loaded = keras.models.load_model(tmp_path / "b.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(TOKENS), plain.predict_on_batch(TOKENS))


@pytest.mark.once
def test_fresh_adapters_change_nothing_and_few_weights_are_trained():
    model, plain = network(), network()
    whole = model.count_params()
    adapters.add_adapters(model, rank=1, also=["norm"])
    np.testing.assert_allclose(*(one.predict_on_batch(TOKENS) for one in (model, plain)), rtol=1e-6)
    trained = {variable.path.rpartition("/")[2] for variable in model.trainable_variables}
    assert trained == {"lora_kernel_a", "lora_kernel_b", "gamma", "beta"}
    own = [(8, 24), (8, 8), (8, 32), (32, 8)]  # queries, keys and values; projection; the two dense layers
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == sum(map(sum, own)) + 16 < whole


@pytest.mark.once
def test_adapted_models_are_the_same_when_accelerated():
    model, _ = tuned()
    told = model.predict_on_batch(TOKENS)
    kzoo.accelerate(model)
    np.testing.assert_allclose(model.predict_on_batch(TOKENS), told, rtol=1e-5, atol=1e-6)
    written = kzoo.generate(model, TOKENS[:, :2], 3)
    uncached = kzoo.generate(model, TOKENS[:, :2], 3, cached=False)
    np.testing.assert_array_equal(written, uncached)


@pytest.mark.once
def test_adapters_of_another_model_are_refused(tmp_path):
    model, _ = tuned()
    adapters.save_adapters(model, tmp_path / "a.npz")
    other = kzoo.create_model("gpt2", vocabulary_size=7, dim=4, depth=1, num_heads=2)
    before = [variable.trainable for variable in other.variables]
    with pytest.raises(ValueError, match=r"are of another model. Received: 'gpt2'"):
        adapters.load_adapters(other, tmp_path / "a.npz")
    assert [variable.trainable for variable in other.variables] == before
    another = network()
    adapters.add_adapters(another, rank=3)
    with pytest.raises(ValueError, match=r"adapters of another rank\. Received: rank=2"):
        adapters.load_adapters(another, tmp_path / "a.npz")
    for call in (adapters.merged, lambda one: adapters.save_adapters(one, tmp_path / "b.npz")):
        with pytest.raises(ValueError, match=r"has no adapters: add_adapters gives it some"):
            call(network())
    with pytest.raises(ValueError, match=r"no dense layer has such a path\. Received: layers='convolution'"):
        adapters.add_adapters(network(), layers="convolution")
    with pytest.raises(FileNotFoundError):
        adapters.load_adapters(network(), tmp_path / "none.npz")


@pytest.mark.once
def test_only_what_answers_is_foretold():
    texts = [prompt_of(one) + one.output for one in QUESTIONS]
    letters = Characters.of("".join(texts) + "|")
    end = letters.encode("|")[0]
    assert prompt_of(QUESTIONS[0]) == "### Instruction:\nAdd.\n\n### Input:\n1 1\n\n### Response:\n"
    assert prompt_of(QUESTIONS[1]) == "### Instruction:\nSay hi.\n\n### Response:\n"
    x, y = instructed(letters, QUESTIONS, 100, end)
    for row, following, text, one in zip(x, y, texts, QUESTIONS):
        assert letters.decode(row) == text
        foretold = following[following != IGNORED]
        assert letters.decode(foretold) == one.output + "|"
        assert (following[: len(text) - len(one.output) - 1] == IGNORED).all()
        assert len(row) == len(following)
    _, whole = instructed(letters, QUESTIONS, 100, end, masked=False)
    assert letters.decode(whole[1]) == texts[1][1:] + "|"
    (short,), _ = instructed(letters, QUESTIONS, 42, end)  # the first prompt alone is longer
    assert letters.decode(short) == texts[1][:42]
    with pytest.raises(ValueError, match=r"no prompt leaves room for its answer"):
        instructed(letters, QUESTIONS, 5, end)


@pytest.mark.once
def test_the_loss_of_answers_is_that_of_their_symbols_alone():
    letters = Characters.of("".join(prompt_of(one) + one.output for one in QUESTIONS) + "|")
    x, y = instructed(letters, QUESTIONS, 100, letters.encode("|")[0])
    logits = np.random.default_rng(0).normal(size=(1, len(x[0]), letters.vocabulary_size)).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)(
        y[0][None], logits
    )
    steps = logits[0] - np.log(np.exp(logits[0]).sum(-1, keepdims=True))
    counts = np.flatnonzero(y[0] != IGNORED)
    np.testing.assert_allclose(float(loss), -steps[counts, y[0][counts]].mean(), rtol=1e-5)
