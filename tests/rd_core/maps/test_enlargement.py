"""Maps at their images' size: bilinear, as torch computes it."""

import tracemalloc

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rd_core.maps import enlargement
from rd_core.maps.enlargement import enlarged
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.masks import mask_on_grid


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_maps_are_enlarged_between_the_centres_of_their_pixels(stride: int) -> None:
    maps = np.random.default_rng(0).random((2, 5, 3)).astype(np.float16)
    expected = F.interpolate(torch.from_numpy(maps).float()[:, None], scale_factor=stride, mode="bilinear")[:, 0]
    found = enlarged(maps, (5 * stride, 3 * stride))
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, atol=5e-4)
    np.testing.assert_array_equal(enlarged(maps[0], (5 * stride, 3 * stride)), found[0])
    with pytest.raises(ValueError, match="maps of 5 x 3 pixels are not those"):
        enlarged(maps, (5 * stride, 3 * stride + 1))


@pytest.mark.parametrize("strip", [1, 40, 300])
def test_strips_join_to_the_same_bits(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(1).random((2, 7, 3)).astype(np.float16)
    whole = enlarged(maps, (28, 12))
    monkeypatch.setattr(enlargement, "STRIP", strip)
    assert enlarged(maps, (28, 12)).tobytes() == whole.tobytes()


def test_what_is_counted_of_a_large_map_takes_little_memory_beside_it() -> None:
    """Of 12 megapixels, so that one of 48 fits into a worker."""
    side = 3456
    grid, mask = np.ones((side // 4, side // 4), np.float16), np.zeros((side // 2, side // 2), np.bool_)
    mask[100:110, 200:204] = mask[1000:1010, 1000:1004] = True
    tracemalloc.start()
    values = enlarged(grid, (side, side))
    tables = PixelTables.of([values], [mask_on_grid(mask, side, side)], [True])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tables.anomalous.sum(), tables.regions) == (4 * 80, 2)
    assert peak < 8 * side**2  # the map has 2, the mask 1
