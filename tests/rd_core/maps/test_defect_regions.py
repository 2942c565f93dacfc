"""Regions of a map against pixels that are known."""

import numpy as np

from rd_core.maps.defect_regions import MOST_REGIONS, DefectRegion, defect_regions


def test_a_region_reaches_as_far_as_the_lower_level_goes() -> None:
    picture = np.zeros((8, 10), np.float32)
    picture[2:5, 3:7] = 0.6
    picture[3, 4] = 2.0
    assert defect_regions(picture, extent=0.5, peak=1.0) == (DefectRegion(2, 3, 3, 4, 12, 2.0),)


def test_a_region_without_a_peak_is_none() -> None:
    picture = np.zeros((8, 8), np.float32)
    picture[0:4, 0:4] = 0.9
    picture[7, 7] = 1.5
    assert [(one.top, one.left) for one in defect_regions(picture, 0.5, 1.0)] == [(7, 7)]


def test_corners_that_touch_are_one_region() -> None:
    picture = np.zeros((6, 6), np.float32)
    picture[1, 1] = picture[2, 2] = 2.0
    assert [one.area for one in defect_regions(picture, 0.5, 1.0)] == [2]


def test_an_extent_above_the_peak_changes_nothing() -> None:
    picture = np.zeros((6, 6), np.float32)
    picture[1:3, 1:3] = 1.2
    assert defect_regions(picture, 5.0, 1.0) == defect_regions(picture, 1.0, 1.0) != ()


def test_the_strangest_come_first_and_not_too_many() -> None:
    picture = np.zeros((30, 30), np.float32)
    picture[::2, ::2] = np.arange(225, dtype=np.float32).reshape(15, 15) + 2
    regions = defect_regions(picture, 0.5, 1.0)
    assert len(regions) == MOST_REGIONS
    assert [one.peak for one in regions] == sorted((one.peak for one in regions), reverse=True)
    assert regions[0].peak == 226


def test_nothing_strange_is_no_region() -> None:
    assert defect_regions(np.zeros((5, 5), np.float32), 0.5, 1.0) == ()
