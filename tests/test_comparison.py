"""`kzoo.compare`: same weights, same batches, three engines."""

import json

import compared
import numpy as np
import pytest

import kzoo
from kzoo import engine

pytestmark = pytest.mark.once
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(90, 4)).astype("float32"), RNG.integers(0, 3, 90)


def test_a_recipe_gives_the_same_curve_on_every_engine(tmp_path):
    """The promise: initial loss equal to 1e-5, curves within 1e-3 over 50 steps with dropout off."""
    lines = []
    result = kzoo.compare(
        "image_classification",
        arguments={"data": "digits", "model": "cnn", "epochs": 3},
        folder=tmp_path,
        progress=lines.append,
    )
    assert result.failed == [] and len(lines) == 3
    losses = [np.array(r.losses) for r in result.results]
    assert all(len(curve) > 50 for curve in losses)
    for curve in losses[1:]:
        assert abs(curve[0] - losses[0][0]) < 1e-5
        assert np.abs(curve[:50] - losses[0][:50]).max() < 1e-3
    assert losses[0][50] < losses[0][0]
    for r in result.results:
        assert r.first_step_s > 0 and r.step_ms > 0 and r.peak_memory_mb > 50 and "test_accuracy" in r.figures
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    saved = json.loads((tmp_path / "comparison.json").read_text())
    assert [r["engine"] for r in saved["results"]] == list(engine.ENGINES)
    assert "divergence" in str(result) and "tensorflow" in str(result)


def test_a_function_is_compared_and_a_failing_engine_does_not_stop_the_others(tmp_path):
    result = kzoo.compare(compared.fails_on_torch, x=X, y=Y, epochs=2, batch_size=16, folder=tmp_path)
    by_engine = {r.engine: r for r in result.results}
    assert result.failed == ["torch"] and "does not run on PyTorch" in by_engine["torch"].error
    assert by_engine["jax"].divergence < 1e-5 and len(by_engine["jax"].losses) == 12
    assert "does not run on PyTorch" in str(result)


def test_a_crashing_engine_is_reported(tmp_path):
    result = kzoo.compare(compared.crashes_on_torch, engines=("jax", "torch"), x=X, y=Y, folder=tmp_path)
    assert result.failed == ["torch"] and "failed" in result.results[1].error
    assert result.results[0].error is None


def test_an_absent_engine_is_reported_and_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "installed", lambda: ("jax",))
    result = kzoo.compare(compared.small_classifier, engines=("torch", "jax"), x=X, y=Y, folder=tmp_path)
    assert [r.error for r in result.results] == ["not installed", None] and result.failed == []


def test_the_steps_own_losses_are_recovered_from_running_means(tmp_path):
    """Weighted by batch size, they average to the loss that Keras reports of the epoch."""
    result = kzoo.compare(compared.small_classifier, engines=("jax",), x=X, y=Y, folder=tmp_path)
    (r,) = result.results
    weighted = np.average(r.losses, weights=[32, 32, 26])
    assert weighted == pytest.approx(r.figures["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: kzoo.compare("nothing"), "no recipe"),
        (lambda: kzoo.compare("image_classification", engines=("mxnet",)), "no engine"),
        (lambda: kzoo.compare(compared.small_classifier), "give x and y"),
        (lambda: kzoo.compare(lambda: None, x=X, y=Y), "top of a file"),
    ],
)
def test_wrong_use_is_told_before_any_work(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_model_that_is_not_compiled_is_reported(tmp_path):
    result = kzoo.compare(compared.not_compiled, engines=("jax",), x=X, y=Y, folder=tmp_path)
    assert "compiled keras.Model" in result.results[0].error
