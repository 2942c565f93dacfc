"""Means over cells and their moments, against NumPy."""

import numpy as np
import pytest
import torch

from rd_core.features.backbone import STRIDES
from rd_core.features.cells import CellMoments, cell_means
from rd_core.pictures.counted_pixels import CountedPixels, zeroed
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


@pytest.mark.parametrize("side", [16, 32, 64])
def test_cells_are_means_over_what_counts_and_moments_those_of_counted_cells(side):
    pixels = torch.rand(6, 16, 24, generator=torch.Generator().manual_seed(side)) < 0.6
    counted = CountedPixels(pixels.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2))
    features = tuple(zeroed(f, counted, s) for f, s in zip(stages(3), STRIDES, strict=True))
    cells, moments = cell_means(features, side, counted), CellMoments(side)
    moments.add(features, counted)
    rows = []
    for image, row, column in counted.on_grid(side).nonzero().tolist():
        means = []
        for stage, stride in zip(features, STRIDES, strict=True):
            n = side // stride
            there = slice(row * n, (row + 1) * n), slice(column * n, (column + 1) * n)
            means.append(stage[image][:, *there][:, counted.on_grid(stride)[image][there]].mean(dim=1))
        rows.append(torch.cat(means))
        torch.testing.assert_close(cells[image, row, column], rows[-1], rtol=1e-4, atol=1e-5)
    assert moments.count == len(rows) > 0
    np.testing.assert_allclose(moments.result()[0], torch.stack(rows).double().mean(dim=0), rtol=1e-4)
