"""Pictures of what generators make: brightness, places, names, and refusals."""

import numpy as np
import pytest

from kzoo import plots

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.once


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("L")).astype("int64")


def share(picture, level, within=6):
    return float(np.mean(np.abs(picture - level) <= within))


def test_images_are_drawn_as_bright_as_they_are(tmp_path):
    dark = np.full((6, 8, 8, 1), 0.25)
    dark[3:] = 0.75
    picture = pixels(plots.mosaic(dark, tmp_path / "a.png", 3, ["low", "high"], ["a", "b", "c"], "title"))
    low, high = share(picture, 64), share(picture, 191)
    assert low > 0.15 and high > 0.15 and abs(low - high) < 0.05
    rows = [np.argwhere(np.abs(picture - level) <= 6)[:, 0].mean() for level in (64, 191)]
    assert rows[0] < rows[1]  # in the order given


def test_colours_stay_and_a_last_row_may_be_short(tmp_path):
    path = plots.mosaic(np.tile([1.0, 0.0, 0.0], (5, 4, 4, 1)), tmp_path / "a.png", 4)
    with Image.open(path) as image:
        red = np.abs(np.asarray(image.convert("RGB")).astype("int64") - [255, 0, 0]).max(-1) <= 3
    assert 0.3 < red.mean() < 0.65  # five of eight places


def test_scores_and_coverage_show_every_group(tmp_path):
    rng = np.random.default_rng(0)
    one = pixels(plots.scores([rng.normal(size=99)], tmp_path / "one.png", ["a"]))
    two = pixels(
        plots.scores(
            [rng.normal(size=99), rng.normal(5, 1, 99)], tmp_path / "two.png", ["a", "b"], threshold=2.5
        )
    )
    assert share(two, 255) < share(one, 255) - 0.01
    even = pixels(plots.coverage([0.5, 0.5], tmp_path / "even.png", ["a", "b"]))
    none = pixels(plots.coverage([0.0, 0.0], tmp_path / "none.png", ["a", "b"]))
    assert share(even, 255) < share(none, 255) - 0.02


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda path: plots.mosaic(np.zeros((3, 4, 4)), path), r"\(n, h, w, c\)"),
        (lambda path: plots.mosaic(np.zeros((0, 4, 4, 1)), path), r"\(n, h, w, c\)"),
        (lambda path: plots.scores([[1.0]], path, ["a", "b"]), "1 groups, 2 names"),
        (lambda path: plots.coverage([0.5, 0.5], path, ["a"]), "1 names"),
    ],
)
def test_what_cannot_be_drawn_is_told(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        wrong(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
