import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.errors import ConfigError
from rd_core.metrics.aupimo import Aupimo
from rd_core.metrics.pixel_tables import PixelTables
from tests.examples import examples
from tests.rd_core.metrics.random_maps import random_sample


def swept_aupimo(normals, values, mask, lower, upper):
    """Every value as a threshold; mean of the normal images' FPRs; trapezoids over the logarithm."""
    thresholds = np.unique(np.concatenate([normals.ravel(), values.ravel()]).astype(float))[::-1]
    rates = np.mean([_share_from(n, thresholds) for n in normals], axis=0)
    result = _share_from(values[mask], thresholds)
    clean = np.append(result[rates == 0], 0).max()  # what is found before any normal pixel is
    x, y = np.log10(rates[rates > 0]), result[rates > 0]
    # Up to the first rate above 0 the curve is flat, and jumps there; then lines.
    x, y = np.r_[-99, x[0], x, 99], np.r_[clean, clean, y, y[-1]]
    rising = np.diff(x) > 0
    left, right, base, slope = (
        x[:-1][rising],
        x[1:][rising],
        y[:-1][rising],
        (np.diff(y)[rising] / np.diff(x)[rising]),
    )
    begin, end = (np.clip(edge, np.log10(lower), np.log10(upper)) for edge in (left, right))
    middle = base + slope * ((begin + end) / 2 - left)
    return (middle * (end - begin)).sum() / np.log10(upper / lower)


def _share_from(values, thresholds):
    return 1 - np.searchsorted(np.sort(values.ravel().astype(float)), thresholds, side="left") / values.size


@given(st.integers(0, 2**32), st.sampled_from([2, 40, 4000]), st.sampled_from([(0.01, 0.1), (0.001, 0.3)]))
@examples(25)
def test_it_is_the_area_under_the_swept_curve(seed, levels, bounds):
    sample = random_sample(seed, levels=levels, normals=4)
    aupimo = Aupimo.of(PixelTables.of(*sample), *bounds)
    normals = sample.maps[~sample.labels & ~np.isnan(sample.maps).all(axis=(1, 2))]
    for score, values, mask in zip(aupimo.scores(*sample), sample.maps, sample.masks, strict=True):
        if mask is None:
            assert np.isnan(score)
        else:
            assert score == pytest.approx(swept_aupimo(normals, values, mask, *bounds), abs=1e-11)


def test_a_pixel_between_two_rates_counts_from_the_line_between():
    """By hand: 1000 normal pixels, 1 at 3.0 and 9 at 2.0; a defect at 2.0 rises from rate 0.001 to 0.01."""
    normal = np.ones((20, 50), np.float16)
    normal[0, 0], normal[1, :9] = 3, 2
    defect, mask = np.zeros((20, 50), np.float16), np.zeros((20, 50), bool)
    mask[0, :1] = True
    for value, expected in ((3.5, 1.0), (2.5, 1.0), (2.0, 0.5), (1.5, 0.0)):
        defect[0, 0] = value
        maps, masks, labels = np.stack([normal, defect]), [None, mask], [False, True]
        aupimo = Aupimo.of(PixelTables.of(maps, masks, labels), 0.001, 0.01)
        assert aupimo.scores(maps, masks, labels)[1] == pytest.approx(expected)
        assert aupimo.levels == 2


def test_the_false_positives_are_those_of_normal_images_alone():
    sample = random_sample(3, normals=4)
    whole = Aupimo.of(PixelTables.of(*sample), 0.01, 0.1)
    normals = Aupimo.of(PixelTables.of(*sample[~sample.labels]), 0.01, 0.1)
    np.testing.assert_array_equal(whole.area, normals.area)


def test_the_default_bounds_are_those_of_the_paper():
    random = np.random.default_rng(0)
    maps = random.gamma(2, size=(3, 256, 256)).astype(np.float16)
    mask = np.zeros((256, 256), bool)
    mask[10:40, 10:40] = True
    maps[2][mask] = 12 + random.gamma(2, size=900)
    masks, labels = [None, None, mask], [False, False, True]
    tables = PixelTables.of(maps, masks, labels)
    score = Aupimo.of(tables).scores(maps, masks, labels)[2]
    assert score == Aupimo.of(tables, 1e-5, 1e-4).scores(maps, masks, labels)[2]
    assert score == pytest.approx(swept_aupimo(maps[:2], maps[2], mask, 1e-5, 1e-4), abs=1e-11)
    assert 0.1 < score < 0.9


def test_areas_stay_within_zero_and_one_and_rise():
    area = Aupimo.of(PixelTables.of(*random_sample(4)), 0.01, 0.1).area
    assert area.min() >= 0
    assert area.max() == pytest.approx(1)
    assert (np.diff(area) >= -1e-12).all()


def test_without_normal_images_there_is_none():
    sample = random_sample(0)
    anomalous = sample[sample.labels]
    aupimo = Aupimo.of(PixelTables.of(*anomalous))
    assert np.isnan(aupimo.scores(*anomalous)).all()
    assert aupimo.levels == 0


@pytest.mark.parametrize("bounds", [(0, 0.1), (0.1, 0.1), (0.2, 0.1), (0.1, 1.1)])
def test_bounds_that_span_nothing_are_refused(bounds):
    with pytest.raises(ConfigError, match="FPR bounds"):
        Aupimo.of(PixelTables.empty(), *bounds)
