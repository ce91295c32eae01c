"""The pictures of the foundations: whole PNG files that show what they were given, and refuse what they cannot."""

import numpy as np
import pytest

from kzoo import plots
from kzoo.scratch.autograd import Tensor, graph

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.once


def amount(path, colour):
    """How many pixels of a picture have a colour, given as `#RRGGBB`."""
    with Image.open(path) as image:
        assert image.format == "PNG" and min(image.size) > 400
        pixels = np.asarray(image.convert("RGB")).astype("int64")
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(-1) <= 3).sum())


def test_decision_surfaces_show_the_points_and_where_the_answer_changes(tmp_path):
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    panels = {"a line": lambda p: (p[:, 0] > 0.5) * 1.0, "nothing": lambda p: np.zeros(len(p))}
    path = plots.decision_surfaces(panels, corners, [0, 0, 1, 1], tmp_path / "s.png", "title")
    assert amount(path, plots.COLOURS[0]) > 500 and amount(path, plots.COLOURS[5]) > 500


def test_a_race_draws_each_route_and_each_curve(tmp_path):
    names = [f"optimizer {i}" for i in range(7)]
    routes = {name: np.array([[-1, -1], [0.1 * i, 0.2]]) for i, name in enumerate(names)}
    curves = {name: ([1, 2, 3], [1.0, 0.5, 0.1 + 0.01 * i]) for i, name in enumerate(names)}
    path = plots.race(
        lambda x, y: x**2 + y**2, (-2, 2, -2, 2), routes, curves, tmp_path / "r.png", minimum=(0, 0)
    )
    assert all(amount(path, colour) > 200 for colour in plots.COLOURS)


def test_families_of_curves_share_their_panels(tmp_path):
    curves = {name: {"loss": [1.0, 0.5 + i], "accuracy": [0.1, 0.2 * i]} for i, name in enumerate("abc")}
    path = plots.families(curves, ("loss", "accuracy"), tmp_path / "f.png", "title")
    assert all(amount(path, colour) > 200 for colour in plots.COLOURS[:3])
    with pytest.raises(ValueError, match="Received: none for \\['speed'\\]"):
        plots.families(curves, ("loss", "speed"), tmp_path / "none.png")


def test_gradient_flow_tells_what_vanishes_and_what_explodes(tmp_path):
    calm, rising = np.ones(4), np.geomspace(1e-6, 1, 4)
    measured = {
        (row, column): {4: (calm, backward)}
        for row in ("tanh", "relu")
        for column, backward in (("calm", calm), ("vanishes", rising), ("explodes", 1 / rising), ("none", 0 * calm))
    }  # fmt: skip
    path = plots.gradient_flow(measured, tmp_path / "f.png")
    assert amount(path, "#eaf1fa") > 10_000 and amount(path, "#fdeceb") > 10_000


def test_a_heat_map_wants_a_name_for_each_row_and_column(tmp_path):
    matrix = np.arange(6.0).reshape(2, 3)
    cells = [["a", "b", "c"], ["d", "e", "f"]]
    arguments = ("title", "x", "y", cells, "how many")
    assert amount(plots.heat_map(matrix, "ab", "cde", tmp_path / "h.png", *arguments), "#08306b") > 500
    with pytest.raises(ValueError, match=r"Received: \(2, 3\) for 3 and 2 names"):
        plots.heat_map(matrix, "abc", "de", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_graph_of_computation_is_drawn_in_layers(tmp_path):
    w, x = Tensor(np.ones((2, 3)), name="w"), Tensor(np.ones((4, 2)), name="x")
    hidden = (x @ w).tanh()
    loss = ((hidden * hidden).sum() + (w**2).sum()) * 0.5
    path = plots.computation(*graph(loss), tmp_path / "g.png", "title")
    assert amount(path, plots.COLOURS[0]) > 5000 and amount(path, "#9a9a9a") > 500
