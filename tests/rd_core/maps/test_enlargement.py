"""Maps at their images' size: bilinear, as torch computes it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rd_core.maps.enlargement import enlarged


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
