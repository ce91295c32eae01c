"""Positions for another image size: against PyTorch's interpolation, and through a whole model."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.weights import convert
from kzoo.weights.positions import bicubic, resized

RNG = np.random.default_rng(0)


on_torch = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="once is enough, and quick on PyTorch"
)


@on_torch  # which is the oracle
@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("grid", [(24, 24), (9, 17), (5, 3), (1, 1), (14, 14)])
def test_the_grid_is_resized_as_by_pytorch_with_antialiasing_and_what_stands_before_is_kept(grid, before):
    import torch

    table = RNG.normal(size=(before + 14 * 14, 6))  # in float64: PyTorch rounds the weights in float32
    picture = torch.tensor(table[before:].reshape(1, 14, 14, 6)).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(picture, grid, mode="bicubic", antialias=True)
    theirs = theirs.permute(0, 2, 3, 1).reshape(-1, 6).numpy()
    ours = resized(table, (before + grid[0] * grid[1], 6), grid)
    assert (
        ours.dtype == table.dtype == np.float64
        and resized(table.astype("float32"), ours.shape, grid).dtype == "float32"
    )
    np.testing.assert_array_equal(ours[:before], table[:before])
    np.testing.assert_allclose(ours[before:], theirs, atol=1e-12)


@pytest.mark.once
def test_interpolation_keeps_constants_and_lines_and_leaves_the_same_size_alone():
    np.testing.assert_allclose(bicubic(7, 12).sum(1), 1)
    np.testing.assert_allclose(bicubic(13, 5).sum(1), 1)
    np.testing.assert_allclose(bicubic(6, 6), np.eye(6), atol=1e-12)
    centres = (np.arange(20) + 0.5) / 2 - 0.5
    np.testing.assert_allclose((bicubic(10, 20) @ np.arange(10))[4:-4], centres[4:-4], atol=1e-12)


@pytest.mark.once
def test_a_table_of_distances_is_resized_from_square_to_square():
    small, large = RNG.normal(size=(7 * 7, 3)), resized(RNG.normal(size=(7 * 7, 3)), (23 * 23, 3))
    assert large.shape == (529, 3)
    matrix = bicubic(7, 23)
    theirs = np.stack([matrix @ small[:, k].reshape(7, 7) @ matrix.T for k in range(3)], -1)
    np.testing.assert_allclose(resized(small, (529, 3)), theirs.reshape(529, 3))


@pytest.mark.once
@pytest.mark.parametrize(
    ("old", "shape", "grid"),
    [((10, 4), (17, 5), None), ((10, 4), (18, 4), None), ((10, 4), (3, 4), (2, 3)), ((8, 4), (7, 4), (2, 3))],
)
def test_what_is_no_such_table_is_refused(old, shape, grid):
    with pytest.raises(ValueError, match=r"Received: positions of shape \(\d+, 4\)"):
        resized(np.zeros(old), shape, grid)


def _values(model):
    return {v.path: np.asarray(v.numpy()) for v in model.variables if keras.backend.is_float_dtype(v.dtype)}


@on_torch
def test_a_models_positions_follow_its_image_and_the_report_says_so():
    sizes = dict(dim=8, depth=1, num_heads=2, patch_size=4)

    def make(height, width):
        return kzoo.create_model("vit_tiny_patch16", image_shape=(height, width, 3), num_classes=2, **sizes)

    before, after = make(16, 16), make(12, 22)
    values = _values(before)
    report = convert.fit(after, values)
    assert list(report.adapted) == ["position_embedding/embeddings"]
    wanted = resized(values["position_embedding/embeddings"], (1 + 3 * 5, 8), (3, 5))
    np.testing.assert_array_equal(_values(after)["position_embedding/embeddings"], wanted)

    sizes = dict(dim=4, depths=(1, 1), num_heads=(1, 2), patch_size=2)
    small, large = (
        kzoo.create_model("swin_tiny", image_shape=(16, 16, 3), num_classes=2, window_size=m, **sizes)
        for m in (2, 4)
    )
    report = convert.fit(large, _values(small))
    assert len(report.adapted) == 2 and all("relative_position" in path for path in report.adapted)
