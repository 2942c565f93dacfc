"""Images of one part that lies elsewhere and turned: where it lies is found, and undone."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from demo import brushed_metal, printed_part, woven_cloth
from rd_core.errors import AlignmentUnavailable, NoCommonPart, ViewImpossible
from rd_core.pictures import alignment
from rd_core.pictures.alignment import Alignment, Offset, fit_alignment

SIDE = 128
shifts = st.integers(-8, 8)
offsets = st.builds(Offset, st.floats(-8, 8), st.floats(-8, 8), st.floats(-180, 180))


def drawn(source, number: int) -> NDArray[np.uint8]:
    return np.round(source.draw(np.random.default_rng([3, number]), SIDE) * 255).astype(np.uint8)


@functools.cache
def normals() -> list[NDArray[np.uint8]]:
    return [drawn(printed_part, number) for number in range(5)]


@functools.cache
def fitted(kind) -> Alignment:
    return fit_alignment(kind, normals())


def farthest(one: NDArray, other: NDArray) -> float:
    """Pixels that two transformations differ by, at the corners of the image."""
    corners = np.array([[x, y, 1] for x in (0, SIDE) for y in (0, SIDE)]).T
    return float(np.abs(one @ corners - other @ corners).max())


def whole(offset: Offset, height: int, width: int) -> NDArray[np.bool_]:
    """Pixels of an aligned image that the original has."""
    return offset.covered((height, width), (0, 0, height, width), (height, width))


def after(first: Offset, then: Offset) -> NDArray:
    """The transformation by `then` of what `first` gave, as `Offset.matrix`."""
    return first.matrix(SIDE, SIDE) @ np.vstack([then.matrix(SIDE, SIDE), (0, 0, 1)])


@settings(max_examples=5, deadline=None)
@given(shifts, shifts)
def test_a_known_shift_is_found_within_a_pixel_and_undone(x, y):
    image = drawn(printed_part, 20)
    moved = Offset(-x, -y).aligned(image)
    own, found = fitted("shift").offset(image), fitted("shift").offset(moved)
    assert max(abs(found.x - own.x - x), abs(found.y - own.y - y)) <= 1  # both are rounded
    assert found.rotation == 0


@pytest.mark.parametrize("x, y, degrees", [(5, -3, 2.4), (-8, 8, -3.0), (0, 1, 0.0), (2, 7, -1.2)])
def test_a_known_rotation_is_found_within_half_a_pixel_at_the_corners(x, y, degrees):
    image = drawn(printed_part, 20)
    move = Offset(-x, -y, -degrees)
    own, found = fitted("rigid").offset(image), fitted("rigid").offset(move.aligned(image))
    assert farthest(own.matrix(SIDE, SIDE), after(move, found)) < 0.5


def test_a_part_upside_down_is_turned_where_turning_is_allowed():
    upside_down = np.ascontiguousarray(drawn(printed_part, 20)[::-1, ::-1])
    assert abs(abs(fitted("rigid").offset(upside_down).rotation) - 180) < 2
    with pytest.raises(ViewImpossible, match=r"does not look like the part: correlation 0\.\d\d .* at least 0\.\d\d"):
        fitted("shift").offset(upside_down)


@pytest.mark.parametrize("source", [woven_cloth, brushed_metal])
@pytest.mark.parametrize("kind", ["shift", "rigid"])
def test_an_image_of_something_else_is_not_the_part(kind, source):
    with pytest.raises(ViewImpossible):
        fitted(kind).offset(drawn(source, 0))


def test_an_even_image_and_a_negative_are_not_the_part():
    for image in (np.full((SIDE, SIDE, 3), 90, np.uint8), 255 - drawn(printed_part, 20)):
        with pytest.raises(ViewImpossible):
            fitted("shift").offset(image)


def test_normals_of_no_common_part_are_refused():
    with pytest.raises(
        NoCommonPart, match=r"one in ten has a correlation below -?0\.\d\d.*needs 0\.4.*align = \"none\""
    ):
        fit_alignment("shift", [drawn(brushed_metal, number) for number in range(6)])


def test_moved_normals_give_the_template_of_normals_at_rest():
    rng = np.random.default_rng(0)
    moved = [Offset(*rng.uniform(-6, 6, 2), rng.uniform(-2, 2)).aligned(image) for image in normals()]
    found = fit_alignment("rigid", moved)
    image = drawn(printed_part, 20)
    between = Offset(*np.subtract(found.offset(image), fitted("rigid").offset(image)))
    assert max(abs(between.x), abs(between.y)) < 6  # somewhere amid them
    assert found.least_correlation > 0.5


def test_the_same_normals_give_the_same_bytes_which_find_the_same_place():
    again = fit_alignment("shift", [image.copy() for image in normals()])
    assert again == fitted("shift")
    read = Alignment.from_dict(again.to_dict())
    image = drawn(printed_part, 21)
    found = fitted("shift").offset(image)
    alignment._template.cache_clear()
    assert read.offset(image) == found


def test_images_of_other_sizes_have_offsets_in_their_own_pixels():
    image = drawn(printed_part, 20)
    large = image.repeat(3, axis=0).repeat(2, axis=1)
    own = fitted("shift").offset(large)
    moved = Offset(-12, -18).aligned(large)
    found = fitted("shift").offset(moved)
    assert (found.x - own.x, found.y - own.y) == pytest.approx((12, 18), abs=1)


@settings(max_examples=20, deadline=None)
@given(shifts, shifts)
def test_whole_pixels_change_no_value(x, y):
    image = drawn(printed_part, 0)
    moved = Offset(x, y).aligned(image)
    rows, columns = (slice(max(0, -o), SIDE - max(0, o)) for o in (y, x))
    there = slice(rows.start + y, rows.stop + y), slice(columns.start + x, columns.stop + x)
    np.testing.assert_array_equal(moved[rows, columns], image[there])
    assert whole(Offset(x, y), SIDE, SIDE).sum() == (SIDE - abs(x)) * (SIDE - abs(y))


@settings(max_examples=15, deadline=None)
@given(offsets)
def test_a_map_goes_back_to_where_the_image_was(offset):
    smooth = np.add.outer(np.arange(48), 2 * np.arange(64)).astype(np.float32)
    image = np.round(smooth).astype(np.uint8)
    back = offset.restored(offset.aligned(image).astype(np.float32))
    inner = Offset(*offset).restored(whole(offset, 48, 64).astype(np.float32)) > 0.999
    assert np.abs(back - image)[inner].max(initial=0) < 3


@settings(max_examples=30, deadline=None)
@given(offsets, st.integers(10, 70), st.integers(10, 40), st.integers(1, 20), st.integers(1, 20))
def test_a_box_of_the_aligned_image_holds_the_same_pixels_in_the_original(offset, left, top, width, height):
    mask = np.zeros((80, 100), bool)
    mask[top : top + height, left : left + width] = True
    there = offset.restored(mask.astype(np.float32)) > 0.5
    row, column, tall, wide = offset.original_box((top, left, height, width), (80, 100))
    rows, columns = np.nonzero(there)
    if len(rows):
        assert row <= rows.min() and rows.max() < row + tall
        assert column <= columns.min() and columns.max() < column + wide
    assert 0 <= row <= row + tall <= 80 and 0 <= column <= column + wide <= 100


def test_a_mask_lies_on_the_part_wherever_that_lies():
    image, mask = drawn(printed_part, 20), np.zeros((SIDE, SIDE), bool)
    mask[40:50, 70:90] = True
    moved = Offset(5, -3)
    there = moved.aligned_mask(mask)
    np.testing.assert_array_equal(moved.aligned(image)[there], image[mask])


@settings(deadline=None)
@given(offsets, st.integers(30, SIDE - 30), st.integers(30, SIDE - 30))
def test_no_labelled_pixel_within_the_aligned_image_vanishes(offset, row, column):
    mask = np.zeros((2 * SIDE, 2 * SIDE), bool)
    mask[row + SIDE // 2, column + SIDE // 2] = True
    there = offset.aligned_mask(mask)
    assert 1 <= there.sum() <= 4


def test_without_scikit_image_the_cure_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AlignmentUnavailable, match=r"rd-inspect\[alignment\]"):
        alignment.require_alignment()
