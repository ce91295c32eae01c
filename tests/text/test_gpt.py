"""GPT gives Transformers' numbers with Transformers' weights, learns, and refuses what does not fit.

`gpt_oracle.py` makes the random network in one process, `gpt_equal.py` compares in one process per engine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import parity_of
import pytest
from keras import ops
from stepping import arrays_of, forward_of, step_of
from written_by_hand import randomized

import kzoo
from kzoo import engine
from kzoo.models import catalog
from kzoo.models.text.gpt import gpt

HERE = Path(__file__).parent
SIZES = dict(dim=8, depth=1, num_heads=2, max_sequence_length=6)
TOKENS = np.array([[2, 4, 3, 0, 1, 1], [2, 1, 0, 3, 3, 4]], "int32")
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def run(script, backend, *arguments):
    environment = os.environ | {"KERAS_BACKEND": backend, "XLA_FLAGS": parity_of.XLA}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    run("gpt_oracle.py", "torch", folder)
    return folder


@pytest.mark.once
def test_logits_states_and_writing_are_transformers_on_every_engine(checkpoint):
    for name in engine.installed():
        run("gpt_equal.py", name, checkpoint, checkpoint / f"{name}.json")
        found = json.loads((checkpoint / f"{name}.json").read_text())
        assert len(found) == 2 * 5
        assert {array: far for array, far in found.items() if not far <= 1e-5} == {}, name


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(depth=3), r"does not fit the model: it has .* missing, the first: .*block_3"),
        (dict(depth=1), r"does not fit the model: .* unexpected, the first: h\.1\."),
        (dict(vocabulary_size=31), r"the weights of embedding/embeddings do not fit: the model needs \(31, 12\), .*"),
        (dict(dim=15), r"do not fit: the model needs"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_model_is_refused(wrong, message, checkpoint):
    path = f"transformers:{checkpoint / 'model.safetensors'}"
    sizes = dict(dim=12, depth=2, num_heads=3, max_sequence_length=20, vocabulary_size=29) | wrong
    with pytest.raises(ValueError, match=message):
        kzoo.create_model("gpt2", pretrained=path, **sizes)


@pytest.mark.once
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, checkpoint):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((checkpoint / "model.safetensors").read_bytes()[:1000])
    for path, error, message in (
        (cut, ValueError, r"truncated or is not safetensors"),
        (tmp_path / "none.safetensors", FileNotFoundError, r"there is no such checkpoint"),
    ):
        with pytest.raises(error, match=message):
            kzoo.create_model("gpt2", pretrained=f"transformers:{path}")
    with pytest.raises(
        ValueError, match=r"no source of weights for gpt 'transfomers': did you mean transformers"
    ):
        kzoo.create_model("gpt2", pretrained=f"transfomers:{cut}")


@pytest.mark.once
def test_a_folder_and_a_name_on_the_hub_are_checkpoints_too(checkpoint, monkeypatch):
    import huggingface_hub as hub

    sizes = dict(dim=12, depth=2, num_heads=3, max_sequence_length=20, vocabulary_size=29)
    asked = []

    def download(name, file):
        asked.append((name, file))
        if name != "openai-community/gpt2":
            raise hub.errors.LocalEntryNotFoundError("no connection")
        return str(checkpoint / file)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    models = [
        kzoo.create_model("gpt2", pretrained=f"transformers:{place}", **sizes)
        for place in (checkpoint / "model.safetensors", checkpoint, "openai-community/gpt2")
    ]
    models.append(kzoo.create_model("gpt2", pretrained=True, **sizes))
    assert asked == [("openai-community/gpt2", "model.safetensors")] * 2
    assert "gpt2" in kzoo.list_models(pretrained=True) and "nanogpt" in kzoo.list_models(pretrained=False)
    for model in models[1:]:
        for ours, theirs in zip(model.get_weights(), models[0].get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(
        ConnectionError, match=r"no folder openai/gtp2, and the Hugging Face Hub.*no connection"
    ):
        kzoo.create_model("gpt2", pretrained="transformers:openai/gtp2", **sizes)


@pytest.mark.once
def test_sizes_are_those_of_the_paper():
    published = {
        "gpt2": 124_439_808,
        "gpt2_medium": 354_823_168,
        "gpt2_large": 774_030_080,
        "gpt2_xl": 1_557_611_200,
    }
    assert {name: catalog.skeleton(name).count_params() for name in published} == published
    # nanoGPT prints 10.65 million and 0.80 million, without positions.
    for name, length, dim, count in (("nanogpt", 256, 384, 10.65e6), ("nanogpt_small", 64, 128, 0.80e6)):
        own = catalog.skeleton(name, vocabulary_size=65).count_params() - length * dim
        assert round(own / 1e4) == round(count / 1e4), name


def model_of(**options):
    return gpt(5, **SIZES | options)


@pytest.mark.parametrize("rotary", [False, True])
def test_no_place_sees_what_comes_after_it_and_a_file_gives_the_model_back(rotary, tmp_path):
    options = dict(position=kzoo.layers.RotaryPosition, tie_embeddings=False) if rotary else {}
    model = randomized(model_of(**options))
    forward, changed = forward_of(model), TOKENS.copy()
    changed[:, 4:] = (changed[:, 4:] + 1) % 5
    (before,), (after,) = forward(ops.convert_to_tensor(TOKENS)), forward(ops.convert_to_tensor(changed))
    np.testing.assert_allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert (np.abs(before[:, 4:] - after[:, 4:]).max((1, 2)) > 1e-3).all()
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(model.predict_on_batch(TOKENS), loaded.predict_on_batch(TOKENS))
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())


def test_every_weight_gets_a_gradient():
    model = randomized(model_of(tie_embeddings=False))
    tokens = ops.convert_to_tensor(TOKENS)
    labels = ops.convert_to_tensor((TOKENS + 1) % 5)
    loss, gradients = step_of(model, lambda: LOSS(labels, model(tokens, training=True)))()
    assert np.isfinite(ops.convert_to_numpy(loss))
    for variable, gradient in zip(model.trainable_variables, arrays_of(gradients), strict=True):
        assert np.abs(gradient).max() > 1e-6, variable.path


def test_it_learns_a_text_by_heart_and_writes_it():
    model = model_of(dropout=0.1)
    kzoo.accelerate(model)
    x = np.tile(np.arange(5), 20).astype("int32")
    rows = np.stack([x[i : i + 6] for i in range(12)])
    model.compile(keras.optimizers.AdamW(0.02), LOSS)
    losses = model.fit(rows[:, :-1], rows[:, 1:], batch_size=12, epochs=40, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(np.log(5), abs=0.1)
    assert losses[-1] < 0.5 * losses[0]
    (written,) = kzoo.generate(model, [[3]], 5)
    np.testing.assert_array_equal(written, [4, 0, 1, 2, 3])


@pytest.mark.once
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(num_heads=3), r"num_heads must divide dim\. Received: dim=8, num_heads=3"),
        (dict(depth=0), r"depth must be a whole number"),
        (dict(dropout=1.0), r"dropout must"),
        (dict(max_sequence_length=2.5), r"max_sequence_length must be a whole number"),
    ],
)
def test_sizes_that_do_not_fit_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        model_of(**wrong)
