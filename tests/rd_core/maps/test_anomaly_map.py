import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from rd_core.errors import MapOutOfRange
from rd_core.features.backbone import STRIDES
from rd_core.maps.assembly import MapAssembly, interpolation_matrix
from rd_core.maps.micro_batch import AnomalyMaps
from tests.rd_core.upsampling import in_the_middles, stretched


def distances(height, width, batch=2):
    random = torch.Generator().manual_seed(1)
    return tuple(torch.rand((batch, height // s, width // s), generator=random) * 2 for s in (4, 8, 16))


def reference(parts, height, width, sigma, *, upsample=in_the_middles):
    """Written out: upsample each, add, filter each image."""
    return np.stack(
        [gaussian_filter(image, sigma) for image in sum(upsample(d.numpy(), height, width) for d in parts)]
    )


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("height", "width", "sigma"), [(64, 64, 4.0), (32, 96, 4.0), (128, 64, 1.5), (32, 32, 12.0), (64, 32, 0.0)]
)
def test_the_fused_map_equals_upsampling_adding_and_filtering(height, width, sigma, align_corners):
    parts = distances(height, width)
    result = MapAssembly(height, width, sigma, STRIDES, align_corners=align_corners)(parts).numpy()
    upsample = stretched if align_corners else in_the_middles
    np.testing.assert_allclose(result, reference(parts, height, width, sigma, upsample=upsample), atol=1e-5)


def test_a_stretched_stage_whose_last_distance_reaches_beyond_the_image_lies_over_the_image_too():
    parts = torch.rand(2, 12, 24), torch.rand(2, 1, 2)
    result = MapAssembly(48, 96, 2.5, (4, 64), align_corners=True)(parts).numpy()
    np.testing.assert_allclose(result, reference(parts, 48, 96, 2.5, upsample=stretched), atol=1e-5)


@pytest.mark.parametrize("map_stride", [2, 4])
@pytest.mark.parametrize("align_corners", [True, False])
def test_a_map_of_a_stride_has_the_means_of_the_full_maps_pixels(map_stride, align_corners):
    parts = distances(64, 96)
    full, coarse = (
        MapAssembly(64, 96, 2.5, STRIDES, align_corners=align_corners, map_stride=s) for s in (1, map_stride)
    )
    for mine, whole in ((coarse(parts), full(parts)), (coarse.of_stage(2, parts[2]), full.of_stage(2, parts[2]))):
        means = whole.reshape(2, 64 // map_stride, map_stride, 96 // map_stride, map_stride).mean(dim=(2, 4))
        np.testing.assert_allclose(mine, means, atol=1e-6)


@pytest.mark.parametrize(("length", "stride"), [(64, 16), (96, 4), (96, 64), (160, 64)])
def test_a_distance_is_greatest_in_the_middle_of_the_pixels_that_it_is_of(length, stride):
    matrix = interpolation_matrix(length, stride, align_corners=False)
    pixels = np.arange(length)
    for number, weights in enumerate(matrix.T):
        own = pixels[number * stride : (number + 1) * stride]
        greatest = pixels[np.isclose(weights, weights.max())]
        assert abs(greatest.mean() - own.mean()) <= 0.5


@pytest.mark.parametrize("stride", [16, 32, 64])  # finer ones reach over the edge
def test_what_lies_at_the_border_is_smoothed_like_what_lies_inside(stride):
    assembly = MapAssembly(256, 256, 2.5, (stride,))
    count = 256 // stride
    one_each = torch.eye(count)[:, :, None] * torch.eye(count)[:, None, :]
    peaks = assembly((one_each,)).amax(dim=(1, 2))
    np.testing.assert_allclose(peaks, peaks[count // 2], rtol=1e-3)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("length", "stride"), [(8, 64), (1, 1), (7, 1), (33, 7), (96, 64)])
def test_interpolation_rows_are_weights(length, stride, align_corners):
    matrix = interpolation_matrix(length, stride, align_corners=align_corners)
    assert matrix.shape == (length, -(-length // stride))
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


def test_maps_are_stored_as_the_nearest_float16_and_never_as_infinity_or_nothing() -> None:
    values = np.array([[[0.0, 1.0, 2 / 3, 65504.0]]], np.float32)
    scores = np.zeros(1, np.float32)
    halves = AnomalyMaps(values, scores, scores).as_float16()
    assert halves.dtype == np.float16
    np.testing.assert_array_equal(halves, values.astype(np.float16))
    for odd in (65505.0, np.inf, -np.inf, np.nan):
        with pytest.raises(MapOutOfRange, match=f"holds {odd}"):
            AnomalyMaps(np.where(values == 1, np.float32(odd), values), scores, scores).as_float16()
    assert AnomalyMaps(values[:0], scores, scores).as_float16().shape == (0, 1, 4)
