import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from rd_core.pictures.masks import EIGHT_CONNECTED, mask_on_grid, region_of_pixels
from tests.examples import examples

sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))


@st.composite
def masks(draw):
    shape = draw(sizes)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return random.random(shape) < draw(st.sampled_from([0.03, 0.3, 0.7]))


def coverage(mask, height, width):
    """Defect area of each map pixel, by drawing the mask so large that both grids' borders are whole pixels."""
    fine = np.kron(mask, np.ones((height, width), int))
    h, w = mask.shape
    return fine.reshape(height, h, width, w).sum(axis=(1, 3))


@given(masks(), sizes)
@examples(60)
def test_half_of_the_area_makes_a_defect_and_no_region_vanishes(mask, size):
    result = mask_on_grid(mask, *size)
    expected = 2 * coverage(mask, *size) >= mask.size
    labels, count = ndimage.label(mask, EIGHT_CONNECTED)
    for region in range(1, count + 1):
        own = coverage(labels == region, *size)
        expected.flat[own.argmax()] = True
    assert result.dtype == np.bool_
    np.testing.assert_array_equal(result, expected)


@given(masks())
@examples(40)
def test_a_mask_of_the_maps_size_stays_as_it_is(mask):
    np.testing.assert_array_equal(mask_on_grid(mask.astype(np.uint8) * 255, *mask.shape), mask)


def test_a_single_pixel_of_a_large_mask_survives_where_it_is():
    mask = np.zeros((1000, 1000), np.uint8)
    mask[999, 37] = 255
    result = mask_on_grid(mask, 64, 64)
    assert np.argwhere(result).tolist() == [[63, 2]]


def test_exactly_half_counts():
    assert mask_on_grid(np.array([[True, False]]), 1, 1).all()
    assert mask_on_grid(np.array([[True] * 4 + [False] * 5]), 1, 1).all(), "less than half, but all there is"
    both = np.zeros((4, 9), bool)
    both[:2] = True  # half of the upper, none of the lower map pixels
    assert mask_on_grid(both, 1, 9).all()


def test_no_defect_stays_no_defect():
    assert not mask_on_grid(np.zeros((30, 20), bool), 7, 7).any()


@pytest.mark.parametrize("mask", [np.zeros((2, 2)), np.zeros((2, 2, 3), bool), np.zeros((0, 2), bool)])
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(ValueError, match="Give bool or integer"):
        mask_on_grid(mask, 4, 4)


@given(masks())
@examples(40)
def test_regions_are_eight_connected_and_in_reading_order_of_the_pixels(mask):
    regions, count = region_of_pixels(mask)
    labels, expected = ndimage.label(mask, EIGHT_CONNECTED)
    assert count == expected
    # The box's regions may be numbered otherwise: only which pixels belong together counts.
    pairs = set(zip(regions.tolist(), labels[mask].tolist(), strict=True))
    assert len(pairs) == count
    assert {a for a, _ in pairs} == set(range(count))


def test_pixels_that_touch_at_a_corner_are_one_region():
    assert region_of_pixels(np.eye(4, dtype=bool))[1] == 1
