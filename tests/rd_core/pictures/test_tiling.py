"""Tiles that cover a picture, and crops of it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.errors import ConfigError
from rd_core.pictures.tile_images import PIXELS, PIXELS_REMEMBERED, RandomCrops, TilesOf, crops_of_each
from rd_core.pictures.tiling import GRID, Place, Tiling


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    tile = GRID * draw(st.integers(1, 24))
    height, width = (tile + GRID * draw(st.integers(0, 120)) for _ in range(2))
    return Tiling(height, width, tile, draw(st.integers(0, tile // 2)))


@given(tilings())
def test_tiles_cover_the_picture_overlap_enough_and_are_as_few_as_can_be(tiling: Tiling) -> None:
    for starts, side in ((tiling.tops, tiling.height), (tiling.lefts, tiling.width)):
        assert starts[0] == 0 and starts[-1] == side - tiling.tile
        assert all(start % GRID == 0 for start in starts)
        step = (tiling.tile - tiling.overlap) // GRID * GRID or GRID
        assert all(0 < after - before <= step for before, after in pairwise(starts))
        assert len(starts) == 1 + -(-(side - tiling.tile) // step)
    assert tiling.cost == len(tiling.tops) * len(tiling.lefts) * tiling.tile**2 / (tiling.height * tiling.width)


@pytest.mark.parametrize(
    ("sides", "why"),
    [
        ((102, 128, 64, 8), "multiples of 4"),
        ((128, 128, 66, 8), "multiples of 4"),
        ((128, 64, 96, 8), "a tile of 96 pixels does not fit"),
        ((128, 128, 64, 33), r"overlap 33 is not in \[0, 32\]"),
        ((128, 128, 64, -1), "overlap -1"),
    ],
)
def test_tiles_that_cannot_be_are_refused(sides: tuple[int, int, int, int], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Tiling(*sides)


class Counting(list):
    """Pictures that count how often each is fetched."""

    def __init__(self, pictures: list) -> None:
        super().__init__(pictures)
        self.fetched = [0] * len(pictures)

    def __getitem__(self, index):
        self.fetched[index] += 1
        return super().__getitem__(index)


def pictures(count: int, height: int, width: int) -> Counting:
    """The first channel tells the picture, the others the row and the column."""
    rows, columns = np.mgrid[:height, :width]
    return Counting([np.stack([np.full_like(rows, i), rows, columns], axis=2).astype(np.uint8) for i in range(count)])


def test_crops_are_of_their_picture_fetched_once_and_the_same_in_any_order() -> None:
    tiling, whole = Tiling(96, 200, 32, 8), pictures(3, 96, 200)
    crops = RandomCrops(whole, tiling, 5, seed=1)
    assert len(crops) == 15
    backwards = [crops[number] for number in reversed(range(15))][::-1]
    again = RandomCrops(whole, tiling, 5, seed=1)
    for number, crop in enumerate(backwards):
        picture, place = number // 5, crops.places[number]
        np.testing.assert_array_equal(crop, whole[picture][place.top :, place.left :][:32, :32])
        np.testing.assert_array_equal(crop, again[number])
    assert [count - 6 for count in whole.fetched] == [1, 1, 1]  # 6 by this test itself: once a crop, and `again`
    assert any((crops[0] != crop).any() for crop in RandomCrops(whole, tiling, 1, seed=2))
    with pytest.raises(IndexError):
        crops[15]


def test_crops_show_the_edges_as_often_as_tiles_do() -> None:
    tiling = Tiling(96, 96, 32, 0)
    tops = [place.top for place in RandomCrops(pictures(1, 96, 96), tiling, 600, seed=0).places]
    assert min(tops) == 0 and max(tops) == 64
    for edge in (0, 64):  # a tile's middle is in the first or last sixth of the picture
        assert 0.12 < tops.count(edge) / 600 < 0.22


def test_the_number_of_crops_does_not_grow_with_the_picture() -> None:
    assert crops_of_each(Tiling(256, 256, 256, 0), 40) == 2
    assert crops_of_each(Tiling(6000, 8000, 256, 64), 40) == PIXELS // 256**2 // 40 == 25
    assert crops_of_each(Tiling(6000, 8000, 512, 64), 40) == 6
    assert crops_of_each(Tiling(6000, 8000, 256, 64), 5000) == 1


def test_what_is_remembered_are_fewer_crops_but_no_fewer_pixels_than_of_whole_images() -> None:
    large = Tiling(6000, 8000, 256, 64)
    assert crops_of_each(large, 8, remembered=True) == PIXELS_REMEMBERED // 256**2 // 8 == 32
    assert crops_of_each(Tiling(1248, 500, 256, 64), 111, remembered=True) == 640 * 256 // 256**2 == 2
    assert crops_of_each(large, 200, remembered=True) == 4  # 512 x 512
    assert crops_of_each(large, 500, remembered=True) == crops_of_each(large, 500) == 2


def test_all_tiles_of_each_picture_follow_each_other_and_are_fetched_once_in_order() -> None:
    tiling, whole = Tiling(96, 200, 32, 8), pictures(4, 96, 200)
    tiles, count = TilesOf(whole, tiling), len(tiling.places)
    assert len(tiles) == 4 * count
    for number in range(len(tiles)):
        tile, place = tiles[number], tiling.places[number % count]
        assert tile[0, 0].tolist() == [number // count, place.top, place.left] and tile.shape == (32, 32, 3)
    assert whole.fetched == [1] * 4
    with pytest.raises(IndexError):
        tiles[len(tiles)]
    with pytest.raises(ValueError, match="not of the size"):
        TilesOf(pictures(1, 96, 204), tiling)[0]


class PartlyIgnored(Counting):
    """Pictures of which only a corner counts, and of the first all."""

    corner = np.zeros((96, 200), np.bool_)
    corner[80:, 190:] = True

    def counted(self, index: int) -> np.ndarray | None:
        return self.corner if index else None


def test_crops_and_tiles_have_pixels_that_count() -> None:
    tiling, whole = Tiling(96, 200, 32, 8), PartlyIgnored(pictures(2, 96, 200))
    crops, tiles = RandomCrops(whole, tiling, 40, seed=0), TilesOf(whole, tiling)
    assert all(crops.counted(number) is None for number in range(40)) and tiles.counted(0) is None
    for number in range(40, 80):
        place = crops.places[number]
        np.testing.assert_array_equal(crops.counted(number), tiling.cut(whole.corner, place))
        assert tiling.cut(whole.corner, place)[16:, 22:].any()
    assert [place for picture, place in tiles.of if picture == 1] == [Place(64, 168)]
    np.testing.assert_array_equal(tiles.counted(len(tiles) - 1), tiling.cut(whole.corner, Place(64, 168)))


def test_a_place_is_found_where_hardly_anything_counts() -> None:
    class Speck(Counting):
        def counted(self, _index: int) -> np.ndarray:
            return np.arange(96 * 200).reshape(96, 200) == 95 * 200 + 5

    places = RandomCrops(Speck(pictures(1, 96, 200)), Tiling(96, 200, 32, 8), 3, seed=0).places
    assert places == [Place(64, 0)] * 3
