"""Pictures: whole PNG files of a readable size, without touching matplotlib's global state."""

import sys

import numpy as np
import pytest

from kzoo import plots

matplotlib = pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.once


def picture(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype("int64")


def amount(pixels, colour):
    """How many pixels have a colour, given as `#RRGGBB`."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(-1) <= 3).sum())


HISTORY = {
    "loss": [2.0, 1.0, 0.6],
    "accuracy": [0.3, 0.6, 0.8],
    "val_loss": [1.8, 1.1, 0.9],
    "val_accuracy": [0.35, 0.55, 0.7],
    "learning_rate": [0.1, 0.1, 0.1],
}


def test_curves_put_losses_left_and_metrics_right(tmp_path):
    plots.curves(HISTORY, tmp_path / "both.png", "title")
    both = picture(tmp_path / "both.png")
    half = both.shape[1] // 2
    assert both.shape[1] > 1500
    assert amount(both[:, :half], plots.COLOURS[0]) > 500 and amount(both[:, half:], plots.COLOURS[0]) > 500
    plots.curves({"loss": [1.0]}, tmp_path / "one.png")
    assert picture(tmp_path / "one.png").shape[1] < 1300


def test_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one value"):
        plots.curves({"learning_rate": [0.1], "loss": []}, tmp_path / "none.png")
    assert not any(tmp_path.iterdir())


def test_metrics_that_are_not_finite_are_drawn_around(tmp_path):
    plots.curves({"loss": [1.0, np.nan], "val_loss": [np.nan, np.nan]}, tmp_path / "nan.png")
    plots.comparison(
        [result("jax", [1.0, np.inf, np.nan]), result("torch", [1.0, 2.0, np.nan])], tmp_path / "c.png", ""
    )


def test_confusion_shades_the_diagonal(tmp_path):
    plots.confusion(np.diag([5, 5, 0]), ["a", "b", "empty"], tmp_path / "few.png", "title")
    plots.confusion(np.eye(60, dtype=int), [f"class {i}" for i in range(60)], tmp_path / "many.png")
    few = picture(tmp_path / "few.png")
    assert few.std() > 10 and picture(tmp_path / "many.png").shape[0] > few.shape[0]
    with pytest.raises(ValueError, match=r"Received: \(2, 3\), 2 labels"):
        plots.confusion(np.zeros((2, 3)), ["a", "b"], tmp_path / "wrong.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_wrong_predictions_are_red_and_right_ones_are_not(tmp_path, channels):
    images = np.zeros((10, 8, 8, channels), "uint8")
    scores = np.full((10, 3), -4.0)
    scores[:, 1] = 4.0
    names = ["cat", "dog", "bird"]
    plots.predictions(images, [1] * 10, scores, names, tmp_path / "right.png")
    plots.predictions(images, [1] * 9 + [2], scores, names, tmp_path / "wrong.png")
    red = [amount(picture(tmp_path / f"{name}.png"), plots.WRONG) for name in ("right", "wrong")]
    assert red[0] == 0 and red[1] > 300
    with pytest.raises(ValueError, match="Received: 10 images, 9 labels"):
        plots.predictions(images, [1] * 9, scores, names, tmp_path / "bad.png")


def result(engine, losses=(), error=None):
    return {
        "engine": engine,
        "losses": list(losses),
        "first_step_s": 1.5,
        "step_ms": 12.0,
        "samples_per_s": 5000.0,
        "peak_memory_mb": None,
        "error": error,
    }


def test_comparison_draws_every_engine_even_where_curves_coincide(tmp_path):
    losses = np.linspace(2, 1, 700)
    results = [result("tensorflow", losses), result("torch", losses), result("jax", losses + 1e-6)]
    plots.comparison(results, tmp_path / "c.png", "title")
    pixels = picture(tmp_path / "c.png")
    curves = pixels[: pixels.shape[0] // 2]
    assert amount(curves, plots.ENGINES["torch"]) > 1000 and amount(curves, plots.ENGINES["jax"]) > 500
    assert all(amount(pixels, colour) > 1000 for colour in plots.ENGINES.values())  # bars


def test_comparison_says_which_engine_failed(tmp_path):
    results = [result("tensorflow", error="not installed"), result("jax", [1.0, 0.5])]
    plots.comparison(results, tmp_path / "c.png", "title")
    assert amount(picture(tmp_path / "c.png"), plots.WRONG) > 50
    with pytest.raises(ValueError, match=r"at least one engine.*\['torch'\]"):
        plots.comparison([result("torch", error="failed")], tmp_path / "none.png", "")


def test_where_a_network_looked_is_dark(tmp_path):
    words = [f"w{i}" for i in range(4)]
    plots.attention(np.eye(4), words, words, tmp_path / "eye.png", "A sentence")
    plots.attention(np.full((4, 4), 0.25), words, words, tmp_path / "even.png", "A sentence")
    dark = [amount(picture(tmp_path / f"{name}.png"), "#08306b") for name in ("eye", "even")]
    assert dark[0] > 2000 and dark[1] == 0
    plots.attention(
        np.eye(60), [*words, *words[:1] * 56], words * 15, tmp_path / "long.png", "x" * 500, most=20
    )
    assert max(picture(tmp_path / "long.png").shape) < 1600
    with pytest.raises(ValueError, match=r"a row for each symbol written.*\(4, 4\) for 3 and 4"):
        plots.attention(np.eye(4), words[:3], words, tmp_path / "no.png")


def test_the_global_state_of_matplotlib_stays(tmp_path):
    before, loaded = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    plots.curves(HISTORY, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before and ("matplotlib.pyplot" in sys.modules) == loaded


def test_the_same_history_gives_the_same_file(tmp_path):
    for name in "ab":
        plots.curves(HISTORY, tmp_path / f"{name}.png", "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_inside_of_a_network_is_drawn(tmp_path):
    import kzoo

    model = kzoo.create_model(
        "resnet20", image_shape=(16, 16, 3), num_classes=4, filters=(8, 8, 8), depths=(1, 1, 1)
    )
    image = np.random.default_rng(0).normal(size=(16, 16, 3))
    plots.filters(model, tmp_path / "filters.png")
    plots.feature_maps(model, image, tmp_path / "maps.png")
    plots.sheet([image, image[..., :1]], tmp_path / "sheet.png", ["one", "two"])
    for name in ("filters", "maps", "sheet"):
        assert np.asarray(picture(tmp_path / f"{name}.png")).std() > 5
    with pytest.raises(ValueError, match="no such convolution; there are stem_conv"):
        plots.filters(model, tmp_path / "none.png", layer="conv_9")
