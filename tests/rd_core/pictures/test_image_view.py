"""Image views: what a model sees of an image, and where a pixel of its map lies in the image."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.errors import ConfigError, ViewImpossible
from rd_core.maps.defect_regions import DefectRegion
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.masks import mask_on_grid
from rd_core.pictures.preprocessing import resize
from tests.examples import examples

SIDES = st.integers(1, 90)
TRIANGLE = (((0.2, 0.3), (0.7, 0.3), (0.2, 0.9)),)


def noise(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@st.composite
def crops(draw: st.DrawFn, size: tuple[int, int]) -> Crop:
    top, left = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    height, width = draw(st.integers(1, size[0] - top)), draw(st.integers(1, size[1] - left))
    if draw(st.booleans()):
        return Crop(top, left, height, width, "pixels")
    return Crop(top / size[0], left / size[1], height / size[0], width / size[1], "shares")


@st.composite
def views(draw: st.DrawFn) -> tuple[ImageView, tuple[int, int]]:
    """A view, and the size of an image that it fits."""
    size = draw(SIDES), draw(SIDES)
    return ImageView(draw(SIDES), draw(SIDES), crop=draw(st.none() | crops(size))), size


@examples(30)
@given(SIDES, SIDES, SIDES, SIDES)
def test_a_view_of_the_whole_image_has_the_bytes_that_resizing_alone_gives(
    height: int, width: int, rows: int, columns: int
) -> None:
    image = noise(0, height, width)
    view = ImageView(rows, columns)
    assert view.pixels(image).tobytes() == resize(image, rows, columns).tobytes()
    assert view.counted((height, width)) is None
    assert view.covered((height, width)) == (0, 0, height, width)


@examples(40)
@given(views(), st.data())
def test_the_box_of_a_map_pixel_holds_the_image_pixels_that_it_shows_and_no_others(
    drawn: tuple[ImageView, tuple[int, int]], data: st.DataObject
) -> None:
    view, size = drawn
    grid = data.draw(SIDES), data.draw(SIDES)
    row, column = data.draw(st.integers(0, grid[0] - 1)), data.draw(st.integers(0, grid[1] - 1))
    (box,) = view.boxes([DefectRegion(row, column, 1, 1, 1, 2.5)], size, grid)
    top, left, height, width = view.covered(size)
    for start, length, place, cells, first, pixels in (
        (box["top"], box["height"], row, grid[0], top, height),
        (box["left"], box["width"], column, grid[1], left, width),
    ):
        assert first <= start < start + length <= first + pixels, "within the crop, and so within the image"
        assert (start - first) * cells <= place * pixels < (start - first + 1) * cells, "no row too many above"
        assert (start - first + length - 1) * cells < (place + 1) * pixels <= (start - first + length) * cells
    assert box["peak"] == 2.5


@examples(40)
@given(views(), st.data())
def test_a_defect_comes_back_in_a_box_that_covers_what_the_crop_shows_of_it(
    drawn: tuple[ImageView, tuple[int, int]], data: st.DataObject
) -> None:
    view, size = drawn
    top, left, height, width = view.covered(size)
    mask = np.zeros(size, np.bool_)
    row, column = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    mask[row, column] = True
    on_map = view.mask_on_map(mask, view.size)
    if not (top <= row < top + height and left <= column < left + width):
        assert not on_map.any()
        return
    rows, columns = (np.flatnonzero(on_map.any(axis=axis)) for axis in (1, 0))
    found = DefectRegion(rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1, 1, 1.0)
    (box,) = view.boxes([found], size, view.size)
    assert box["top"] <= row < box["top"] + box["height"]
    assert box["left"] <= column < box["left"] + box["width"]


@examples(20)
@given(views(), st.data())
def test_what_lies_outside_the_crop_changes_nothing_and_what_is_shown_is_the_crop(
    drawn: tuple[ImageView, tuple[int, int]], data: st.DataObject
) -> None:
    view, size = drawn
    top, left, height, width = view.covered(size)
    image, other = noise(1, *size), noise(2, *size)
    within = np.s_[top : top + height, left : left + width]
    other[within] = image[within]
    assert view.pixels(image).tobytes() == view.pixels(other).tobytes()
    own = ImageView(height, width, crop=view.crop)
    np.testing.assert_array_equal(own.pixels(image), image[within])
    if (height, width) != size:
        assert own.pixels(image).base is None, "a part of an image would keep it in memory"


@examples(40)
@given(
    st.lists(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=6), min_size=1, max_size=3),
    views(),
)
def test_random_content_within_ignored_regions_changes_no_byte(
    polygons: list[list[tuple[float, float]]], drawn: tuple[ImageView, tuple[int, int]]
) -> None:
    plain, size = drawn
    ignore = Ignore(tuple(map(tuple, polygons)))
    view = ImageView(*plain.size, crop=plain.crop, ignore=ignore)
    image, other = noise(3, *size), noise(4, *size)
    ignored = ignore.on(size)
    assert all(ignored[min(int(y * size[0]), size[0] - 1), min(int(x * size[1]), size[1] - 1)]
               for polygon in polygons for x, y in polygon)  # fmt: skip
    other[~ignored] = image[~ignored]
    assert view.pixels(image).tobytes() == view.pixels(other).tobytes()


def test_ignored_pixels_get_the_mean_colour_of_the_counted_ones_within_the_crop() -> None:
    image = np.zeros((20, 10, 3), np.uint8)
    image[10:] = 200, 100, 7
    image[10:, :5] = 100, 101, 8
    view = ImageView(10, 10, Crop.of([10, 0, 10, 10]), Ignore((((0.0, 0.5), (0.0, 0.7), (1.0, 0.7), (1.0, 0.5)),)))
    pixels = view.pixels(image)
    assert pixels[:5].reshape(-1, 3).tolist() == [[150, 101, 8]] * 50, "rounded; rows 10 to 14 of the image"
    np.testing.assert_array_equal(pixels[5:], image[15:])
    counted = view.counted((20, 10))
    assert counted is not None
    assert counted.tolist() == [[False] * 10] * 5 + [[True] * 10] * 5


def test_a_pixel_counts_where_at_least_half_of_its_area_does_and_outside_the_crop_nothing_is_ignored() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[0, 0] = mask[0, 2:4] = True
    mask[2, 0] = mask[3] = True
    view = ImageView(4, 4, ignore=Ignore.of_mask(mask))
    counted = view.counted((8, 8))
    assert counted is not None
    assert counted.astype(int).tolist() == [[1, 1, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    on_map = view.counted((8, 8), (2, 2))
    assert on_map is not None
    assert on_map.shape == (2, 2)
    assert on_map.all()
    assert ImageView(4, 4, Crop.of([4, 0, 4, 8]), Ignore.of_mask(mask)).counted((8, 8)) is None


def test_a_mask_image_and_the_same_polygon_ignore_the_same_pixels_at_every_size() -> None:
    for size in (30, 40), (60, 80):
        mask = Ignore.of_mask(Ignore(TRIANGLE).on((60, 80))).on(size)
        differing = np.count_nonzero(mask != Ignore(TRIANGLE).on(size)) / mask.size
        assert differing < (0.03 if size == (30, 40) else 1e-9)
    share = Ignore(TRIANGLE).on((300, 400)).mean()
    assert share == pytest.approx(0.5 * 0.6 * 0.5, abs=0.01)


def test_an_image_that_the_view_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(ViewImpossible, match=r"40 x 30 pixels .* crop \[0, 0, 41, 30\] reaches beyond.*train again"):
        ImageView(8, 8, Crop.of([0, 0, 41, 30])).pixels(noise(0, 40, 30))
    everything = Ignore((((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),))
    assert everything.on((7, 9)).all()
    with pytest.raises(ViewImpossible, match="leave no pixel"):
        ImageView(8, 8, ignore=everything).counted((40, 30))


def test_a_mask_that_was_drawn_at_another_size_is_cropped_where_the_image_is() -> None:
    view = ImageView(10, 10, Crop.of([100, 0, 100, 100]))
    mask = np.zeros((400, 200), np.bool_)
    mask[240:260, 20:40] = True  # rows 120 to 130 of the image, the first tenths of the crop
    expected = mask_on_grid(mask[200:400], 10, 10)
    np.testing.assert_array_equal(view.mask_on_map(mask, (10, 10), (200, 100)), expected)
    assert np.argwhere(expected).tolist() == [[2, 1]]


@pytest.mark.parametrize(
    "view",
    [
        ImageView(640, 256),
        ImageView(32, 64, Crop.of([0.25, 0, 0.5, 1.0]), Ignore(TRIANGLE)),
        ImageView(
            512, 512, Crop.of([3, 4, 700, 800]), Ignore.of_mask(np.eye(5, dtype=np.bool_)), tile=256, overlap=32
        ),
    ],
)
def test_a_view_outlives_json(view: ImageView) -> None:
    kept = json.loads(json.dumps(view.to_dict()))
    assert ImageView.from_dict(kept) == view
    assert hash(ImageView.from_dict(kept)) == hash(view)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"height": 0, "width": 5}, "shows nothing"),
        ({"height": 64, "width": 32, "tile": 64}, "does not fit into the view of 64 x 32"),
        ({"height": 64, "width": 64, "tile": 32, "overlap": 32}, "from 0 to 31"),
        ({"height": 64, "width": 64, "overlap": 1}, "there are no tiles"),
        ({"height": 64, "width": 64, "ignore": {}}, "nothing is ignored"),
        ({"height": 64, "width": 64, "ignore": {"polygons": [[[0, 0], [1, 1]]]}}, "Give 3 points"),
        ({"height": 64, "width": 64, "ignore": {"polygons": [[[0, 0], [1, 1], [2, 0]]]}}, "from 0 to 1"),
        ({"height": 64, "width": 64, "ignore": {"mask": "?"}}, "no PNG in base64"),
        ({"height": 64, "width": 64, "ignore": {"mask": "aGVsbG8="}}, "no PNG in base64"),
    ],
)
def test_views_that_mean_nothing_are_refused_in_words(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ImageView.from_dict(values)


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([0, 0, 0, 5], "no pixel"),
        ([-1, 0, 5, 5], "no pixel"),
        ([0.5, 0, 0.6, 1.0], "beyond the image"),
        ([0, 0, 100.0, 200], "beyond the image.*Whole numbers are pixels"),
        ([float("nan"), 0, 1, 1], "no pixel"),
    ],
)
def test_crops_that_mean_nothing_are_refused_in_words(numbers: list[float], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Crop.of(numbers)
    assert Crop.of([0, 0, 1, 1]).unit == "pixels"
    assert Crop.of([0, 0, 1.0, 1]).unit == "shares"


def test_a_view_is_one_line_of_words() -> None:
    assert ImageView(640, 256).in_words() == "640 x 256"
    view = ImageView(512, 512, Crop.of([0.25, 0, 0.5, 1.0]), Ignore(TRIANGLE), tile=256, overlap=32)
    assert view.in_words() == (
        "512 x 512, crop [0.25, 0.0, 0.5, 1.0] shares, 1 ignored region, tiles of 256, overlap 32"
    )


def test_views_are_known_without_torch_and_scipy() -> None:
    code = (
        "import sys, rd_core.pictures.image_view; "
        "sys.exit(', '.join({'torch', 'scipy', 'pyarrow'} & set(sys.modules)) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
