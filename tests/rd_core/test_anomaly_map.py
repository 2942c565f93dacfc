import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from rd_core.anomaly_map import MapAssembly, interpolation_matrix, score_of


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
    found = MapAssembly(height, width, sigma)(parts).numpy()
    np.testing.assert_allclose(found, reference(parts, height, width, sigma), atol=1e-5)


def test_a_stage_whose_last_distance_reaches_beyond_the_image_lies_over_the_image_too():
    parts = torch.rand(2, 12, 24), torch.rand(2, 1, 2)
    found = MapAssembly(48, 96, 2.5, (4, 64))(parts).numpy()
    np.testing.assert_allclose(found, reference(parts, 48, 96, 2.5), atol=1e-5)


def test_sigma_0_leaves_the_sum_unsmoothed():
    parts = distances(64, 32)
    expected = sum(F.interpolate(d[:, None], size=(64, 32), mode="bilinear", align_corners=True)[:, 0] for d in parts)
    np.testing.assert_allclose(MapAssembly(64, 32, 0.0)(parts).numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("outputs", "inputs"), [(8, 1), (1, 4), (7, 7), (33, 5)])
def test_interpolation_rows_are_weights(outputs, inputs):
    matrix = interpolation_matrix(outputs, inputs)
    assert matrix.shape == (outputs, inputs)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


def test_the_score_is_the_maps_maximum_or_its_sum():
    maps = torch.tensor([[[1.0, 5.0], [2.0, 0.0]], [[3.0, 3.0], [3.0, 3.0]]])
    assert score_of(maps, "max").tolist() == [5, 3]
    assert score_of(maps, "sum").tolist() == [8, 12]
