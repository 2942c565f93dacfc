"""Means over cells and their moments, against NumPy."""

import numpy as np
import pytest
import torch

from rd_core.features.cells import CellMoments, cell_means
from tests.rd_core.drawn_stages import WIDTH, stages


@pytest.mark.parametrize(("side", "shape"), [(16, (4, 6)), (32, (2, 3))])
def test_a_cell_is_the_mean_of_all_stages_over_its_pixels(side, shape):
    features = stages(0, images=2)
    cells = cell_means(features, side)
    assert cells.shape == (2, *shape, WIDTH)
    for first, stage, stride in ((0, 0, 4), (3, 1, 8), (5, 2, 16)):
        n = side // stride
        expected = features[stage][1, 0, n : 2 * n, 2 * n : 3 * n].mean()
        torch.testing.assert_close(cells[1, 1, 2, first], expected)


def test_the_last_cells_are_the_means_of_what_the_image_has_of_them():
    features = stages(0, images=2, height=64, width=96)
    cells = cell_means(features, 64)
    assert cells.shape == (2, 1, 2, WIDTH)
    for first, stage, stride in ((0, 0, 4), (3, 1, 8), (5, 2, 16)):
        torch.testing.assert_close(cells[1, 0, 1, first], features[stage][1, 0, :, 64 // stride :].mean())


@pytest.mark.parametrize("groups", [(6,), (1, 3, 2)])
def test_moments_are_those_of_all_cells_however_the_images_are_grouped(groups):
    whole = stages(8)
    moments = CellMoments(16)
    for part in zip(*(f.split(groups) for f in whole), strict=True):
        moments.add(part)
    rows = cell_means(whole, 16).reshape(-1, WIDTH).double().numpy()
    mean, covariance = moments.result()
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-9)
