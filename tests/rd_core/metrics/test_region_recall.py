from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from rd_core.errors import ConfigError
from rd_core.metrics.region_recall import AREA_EDGES, RegionRecall
from tests.examples import examples
from tests.rd_core.metrics.random_maps import random_sample

EDGES = (0.0, 0.01, 0.1, 1.0)


def counted(sample, threshold, share, edges):
    found, total = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    for values, mask in zip(sample.maps, sample.masks, strict=True):
        if mask is None or np.isnan(values).all():
            continue
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        for r in range(1, count + 1):
            own = values[labels == r].astype(float)
            place = next(i for i in range(len(total)) if edges[i] < len(own) / mask.size <= edges[i + 1])
            total[place] += 1
            above = int((own > threshold).sum())
            found[place] += above >= 1 if share == 0 else above / len(own) >= share
    return tuple(found), tuple(total)


@given(st.integers(0, 2**32), st.sampled_from([0, 0.3, 0.5, 1.0]), st.sampled_from([1.0, 2.5, 4.9]))
@examples(30)
def test_it_is_what_counting_region_by_region_gives(seed, share, threshold):
    sample = random_sample(seed)
    recall = RegionRecall.of(*sample, threshold, share, EDGES)
    assert (recall.found, recall.total) == counted(sample, threshold, share, EDGES)


def one_region(above, size, share, threshold=1.0, value=2.0):
    values, mask = np.zeros((10, 100), np.float16), np.zeros((10, 100), bool)
    mask[0, :size] = True
    values[0, :above] = value
    return RegionRecall.of([values], [mask], [True], threshold, share)


@pytest.mark.parametrize(
    ("above", "size", "share", "found"),
    [
        (3, 10, 0.3, 1),
        (2, 10, 0.3, 0),
        (1, 90, 0, 1),
        (0, 90, 0, 0),
        (7, 70, 0.1, 1),
        (7, 100, 0.07, 1),
        (9, 10, 1.0, 0),
    ],
)
def test_a_region_is_found_from_its_share_on_or_when_touched(above, size, share, found):
    assert sum(one_region(above, size, share).found) == found


def test_three_tenths_are_the_default():
    values, mask = np.zeros((1, 20), np.float16), np.zeros((1, 20), bool)
    mask[0, :10] = True
    for above, found in ((2, 0), (3, 1)):
        values[0, :above] = 1
        assert sum(RegionRecall.of([values], [mask], [True], 0.5).found) == found


@pytest.mark.parametrize(("size", "place"), [(1, 1), (2, 2), (10, 2), (11, 3), (100, 3)])
def test_a_range_holds_its_upper_edge(size, place):
    """Of 1000 pixels; the edges are 0.1, 1, 10 and 100 thousandths."""
    assert one_region(0, size, 0.3).total[place] == 1
    assert AREA_EDGES == (0.0, 0.0001, 0.001, 0.01, 0.1, 1.0)


def test_the_threshold_is_not_rounded_to_float16():
    assert sum(one_region(5, 5, 1.0, threshold=0.9999, value=1.0).found) == 1
    assert sum(one_region(5, 5, 1.0, threshold=1.0, value=1.0).found) == 0


def test_parts_add_up_to_the_whole():
    sample = random_sample(1, images=12)
    whole = RegionRecall.of(*sample, 2.0)
    assert RegionRecall.of(*sample[:5], 2.0) + RegionRecall.of(*sample[5:], 2.0) == whole


def test_rows_have_their_interval_and_say_when_nothing_is_known():
    rows = one_region(3, 10, 0.3).by_size()
    assert [(r.above, r.up_to) for r in rows] == list(pairwise(AREA_EDGES))
    assert (rows[2].found, rows[2].total, rows[2].recall.value, rows[2].recall.high) == (1, 1, 1.0, 1.0)
    assert rows[2].recall.low == pytest.approx(0.025)
    assert np.isnan(rows[0].recall.value)


def test_counts_by_other_settings_do_not_add_up():
    with pytest.raises(ValueError, match="do not add up"):
        one_region(1, 5, 0.3) + one_region(1, 5, 0.4)


@pytest.mark.parametrize(
    ("threshold", "share", "edges"),
    [
        (np.nan, 0.3, EDGES),
        (1.0, 1.1, EDGES),
        (1.0, 0.3, (0.0,)),
        (1.0, 0.3, (0.1, 1.0)),
        (1.0, 0.3, (0.0, 0.5)),
        (1.0, 0.3, (0.0, 0.5, 0.5, 1.0)),
    ],
)
def test_settings_that_cannot_be_are_refused(threshold, share, edges):
    with pytest.raises(ConfigError):
        RegionRecall.of([], [], [], threshold, share, edges)
