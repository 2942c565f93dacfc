import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from rd_core.anomaly_map import STAGE_GRIDS, MapAssembly, centred_matrix, score_of, stretched_matrix
from rd_core.grid import Grid


def distances(height, width, batch=2):
    random = torch.Generator().manual_seed(1)
    return tuple(torch.rand((batch, height // s, width // s), generator=random) * 2 for s in (4, 8, 16))


def reference(parts, height, width, sigma):
    """Written out: upsample each, add, filter each image."""
    total = sum(
        F.interpolate(d[:, None].double(), size=(height, width), mode="bilinear", align_corners=True)[:, 0]
        for d in parts
    )
    return np.stack([gaussian_filter(image, sigma) for image in total.numpy()])


@pytest.mark.parametrize(("height", "width", "sigma"), [(64, 64, 4.0), (32, 96, 4.0), (128, 64, 1.5), (32, 32, 12.0)])
def test_the_fused_map_equals_upsampling_adding_and_filtering(height, width, sigma):
    parts = distances(height, width)
    found = MapAssembly(height, width, sigma, align_corners=True)(parts).numpy()
    np.testing.assert_allclose(found, reference(parts, height, width, sigma), atol=1e-5)


def test_a_stage_whose_last_distance_reaches_beyond_the_image_lies_over_the_image_too():
    parts = torch.rand(2, 12, 24), torch.rand(2, 1, 2)
    grids = Grid(4, 4), Grid(64, 64)
    found = MapAssembly(48, 96, 2.5, grids, align_corners=True)(parts).numpy()
    np.testing.assert_allclose(found, reference(parts, 48, 96, 2.5), atol=1e-5)


def test_sigma_0_leaves_the_sum_unsmoothed():
    parts = distances(64, 32)
    expected = sum(F.interpolate(d[:, None], size=(64, 32), mode="bilinear", align_corners=True)[:, 0] for d in parts)
    found = MapAssembly(64, 32, 0.0, align_corners=True)(parts).numpy()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_without_stretching_each_stage_is_torchs_half_pixel_interpolation_but_at_the_border():
    parts = distances(64, 96)
    inner = np.s_[:, 8:-8, 8:-8]  # half a square of the coarsest stage
    for number, (grid, d) in enumerate(zip(STAGE_GRIDS, parts, strict=True)):
        expected = F.interpolate(d[:, None], size=(64, 96), mode="bilinear", align_corners=False)[:, 0].numpy()
        found = MapAssembly(64, 96, 0.0).of_stage(number, d).numpy()
        np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)
        half = grid.stride // 2
        np.testing.assert_allclose(found[:, :half], found[:, half : 2 * half][:, ::-1], atol=1e-5)
        np.testing.assert_allclose(found[:, :, -half:], found[:, :, -2 * half : -half][:, :, ::-1], atol=1e-5)


@pytest.mark.parametrize("grid", [Grid(4, 4), Grid(16, 16), Grid(32, 16), Grid(64, 32), Grid(64, 64)])
def test_a_distance_lies_in_the_middle_of_its_square(grid):
    for row in range(grid.count(256)):
        one = torch.zeros(1, grid.count(256), grid.count(128))
        one[0, row, 0] = 1
        found = MapAssembly(256, 128, 0.0, (grid,))((one,))[0]
        peaks = (found == found.max()).nonzero().double()
        assert peaks.mean(dim=0).tolist() == [row * grid.stride + grid.side / 2 - 0.5, grid.side / 2 - 0.5]


def test_smoothing_lowers_a_peak_at_the_border_no_less_than_one_inside():
    grid = Grid(16, 16)
    heights = []
    for place in (0, 4):
        one = torch.zeros(1, 8, 8)
        one[0, place, 4] = 1
        heights.append(float(MapAssembly(128, 128, 2.5, (grid,))((one,)).max()))
    assert heights[0] == pytest.approx(heights[1], rel=0.01)


@pytest.mark.parametrize(
    "matrix",
    [stretched_matrix(outputs, inputs) for outputs, inputs in ((8, 1), (1, 4), (7, 7), (33, 5))]
    + [centred_matrix(outputs, Grid(*grid)) for outputs, grid in ((32, (64, 32)), (96, (64, 32)), (96, (64, 64)))],
)
def test_interpolation_rows_are_weights(matrix):
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("grid", "length", "count"),
    [
        (Grid(16, 16), 256, 16),
        (Grid(32, 16), 256, 15),
        (Grid(64, 32), 256, 7),
        (Grid(64, 32), 32, 1),
        (Grid(64, 64), 96, 2),
        (Grid(4, 4), 96, 24),
        (Grid(32, 16), 32, 1),
    ],
)
def test_squares_cover_a_length(grid, length, count):
    assert grid.count(length) == count
    assert (count - 1) * grid.stride + grid.side >= length
    assert stretched_matrix(length, count).shape == centred_matrix(length, grid).shape == (length, count)


def test_the_score_is_the_maps_maximum_or_its_sum():
    maps = torch.tensor([[[1.0, 5.0], [2.0, 0.0]], [[3.0, 3.0], [3.0, 3.0]]])
    assert score_of(maps, "max").tolist() == [5, 3]
    assert score_of(maps, "sum").tolist() == [8, 12]
