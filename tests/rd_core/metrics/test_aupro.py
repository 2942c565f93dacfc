import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from rd_core.errors import ConfigError
from rd_core.metrics.aupro import area_under_ramp, aupro
from rd_core.metrics.pixel_tables import PixelTables
from tests.examples import examples
from tests.rd_core.metrics.random_maps import random_sample


def swept_aupro(sample, limit):
    """Every value that occurs as a threshold, the curve's points, trapezoids up to the limit."""
    values, defects = sample.pixels()
    regions = []
    for values_of_map, mask in zip(sample.maps, sample.masks, strict=True):
        if mask is not None and not np.isnan(values_of_map).all():
            labels, count = ndimage.label(mask, np.ones((3, 3)))
            regions += [values_of_map[labels == r].astype(float) for r in range(1, count + 1)]
    thresholds = np.unique(values)[::-1, None]
    rates = np.append(0, (values[~defects] >= thresholds).mean(axis=1))
    overlaps = np.append(0, np.mean([(region >= thresholds).mean(axis=1) for region in regions], axis=0))
    below = rates <= limit
    x, y = rates[below], overlaps[below]
    if not below.all():
        first = np.flatnonzero(~below)[0]
        slope = (overlaps[first] - overlaps[first - 1]) / (rates[first] - rates[first - 1])
        x, y = np.append(x, limit), np.append(y, overlaps[first - 1] + slope * (limit - rates[first - 1]))
    return np.trapezoid(y, x) / limit


@given(st.integers(0, 2**32), st.sampled_from([1, 6, 40, 4000]), st.sampled_from([0.05, 0.3, 1.0]))
@examples(30)
def test_it_is_the_area_under_the_swept_curve(seed, levels, limit):
    sample = random_sample(seed, levels=levels)
    assert aupro(PixelTables.of(*sample), limit) == pytest.approx(swept_aupro(sample, limit), abs=1e-11)


def test_every_region_weighs_the_same():
    """A large region found, a small one missed: one half."""
    values, mask = np.zeros((20, 20), np.float16), np.zeros((20, 20), bool)
    mask[:8, :8] = mask[15, 15] = True
    values[:8, :8] = 2
    values[15, 15] = -1
    assert aupro(PixelTables.of([values], [mask], [True])) == pytest.approx(0.5 + 0.5 * 0.0, abs=0.08)
    assert aupro(PixelTables.of([values], [mask], [True]), 1e-9) == pytest.approx(0.5, abs=1e-6)


def test_a_perfect_map_has_one_and_a_reversed_one_none():
    mask = np.eye(10, dtype=bool)
    for sign, expected in ((1, 1.0), (-1, 0.0)):
        values = (sign * mask).astype(np.float16)
        assert aupro(PixelTables.of([values], [mask], [True])) == pytest.approx(expected, abs=1e-12)


def test_the_default_limit_is_that_of_the_papers():
    tables = PixelTables.of(*random_sample(5))
    assert aupro(tables) == aupro(tables, 0.3) != aupro(tables, 0.05)


def test_defect_free_pixels_of_normal_and_of_anomalous_images_both_count():
    sample = random_sample(6, images=10, normals=5)
    assert aupro(PixelTables.of(*sample)) != pytest.approx(aupro(PixelTables.of(*sample[sample.labels])), abs=1e-6)


def test_without_regions_or_without_defect_free_pixels_there_is_none():
    sample = random_sample(0)
    assert np.isnan(aupro(PixelTables.of(*sample[~sample.labels])))
    assert np.isnan(aupro(PixelTables.of([np.ones((2, 2), np.float16)], [np.ones((2, 2), bool)], [True])))
    assert np.isnan(aupro(PixelTables.empty()))


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan")])
def test_a_limit_that_spans_nothing_is_refused(limit):
    with pytest.raises(ConfigError, match="FPR limit"):
        aupro(PixelTables.empty(), limit)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_ramp_is_the_formula(one, other, limit):
    a, b = min(one, other), max(one, other)
    expected = limit - (a + b) / 2 if b <= limit else (limit - a) ** 2 / (2 * (b - a)) if a < limit else 0
    assert area_under_ramp(np.array([a]), np.array([b]), limit)[0] == pytest.approx(expected, abs=1e-12)
