"""The opening beside SciPy's."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from rd_core.detectors.mkd.opening import opened

MAPS = np.random.default_rng(0).random((2, 17, 23)).astype(np.float32)


def disc(radius: int) -> NDArray[np.bool_]:
    across = np.arange(-radius, radius + 1)
    return across**2 + across[:, None] ** 2 <= radius**2


def by_scipy(values: NDArray, radius: int, counted: NDArray[np.bool_]) -> NDArray:
    """What does not count, or lies beyond the edge, is above all in the erosion and below all in the dilation."""
    high = np.where(counted, values, np.inf)
    eroded = ndimage.grey_erosion(high, footprint=disc(radius), mode="constant", cval=np.inf)
    low = np.where(counted, eroded, -np.inf)
    result = ndimage.grey_dilation(low, footprint=disc(radius), mode="constant", cval=-np.inf)
    return np.where(counted, result, 0)


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("ignoring", [False, True])
def test_an_opening_is_scipys(radius: int, ignoring: bool) -> None:
    counted = np.ones_like(MAPS, dtype=np.bool_)
    if ignoring:
        counted = np.random.default_rng(1).random(MAPS.shape) < 0.7
        counted[1] = False
    result = opened(torch.from_numpy(MAPS), radius, torch.from_numpy(counted) if ignoring else None)
    expected = np.stack([by_scipy(*each) for each in zip(MAPS, (radius, radius), counted, strict=True)])
    np.testing.assert_array_equal(result.numpy(), expected.astype(np.float32))


def test_a_radius_of_one_opens_the_binary_map_of_every_threshold_by_the_authors_cross() -> None:
    """OpenCV's ellipse of 3 x 3."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.bool_)
    inner = (slice(2, -2), slice(2, -2))  # SciPy counts what lies beyond the edge as background
    result = opened(torch.from_numpy(MAPS[:1]), 1)[0].numpy()
    for threshold in np.linspace(0.05, 0.6, 12):
        expected = ndimage.binary_opening(MAPS[0] >= threshold, cross)
        np.testing.assert_array_equal((result >= threshold)[inner], expected[inner])
    assert opened(torch.from_numpy(MAPS), 0).data_ptr() == torch.from_numpy(MAPS).data_ptr()


def test_a_lone_peak_vanishes_and_a_wide_one_stays() -> None:
    maps = np.zeros((1, 12, 12), np.float32)
    maps[0, 2, 2] = 5
    maps[0, 6:9, 6:9] = 3
    result = opened(torch.from_numpy(maps), 1)[0].numpy()
    assert result[2, 2] == 0 and result[7, 7] == 3 and result.max() == 3
