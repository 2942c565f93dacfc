"""Image statistics by day: quartiles as they are, and a band that neither chance nor a trifle leaves."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.drift.daily_medians import DailyMedian, daily_medians
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import baseline, window

FIRST = date(2026, 3, 1)
SETTINGS = DriftSettings()


def medians(
    values: dict[str, np.ndarray], *, days: np.ndarray, scores: np.ndarray | None = None, held: int = 400
) -> tuple[DailyMedian, ...]:
    random = np.random.default_rng(0)
    known = {name: random.normal(0.5, 0.1, held) for name in values}
    calibration = baseline(np.linspace(0, 1, held), 0.01, 1.0, known)
    seen = np.zeros(len(days)) if scores is None else scores
    return daily_medians(window(days, seen, values), calibration, SETTINGS)


def days_of(counts: list[int]) -> np.ndarray:
    return np.repeat([FIRST.toordinal() + i for i in range(len(counts))], counts)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 100))
def test_medians_and_quartiles_are_those_of_the_days_images(counts: list[int], seed: int) -> None:
    days = days_of(counts)
    values = np.random.default_rng(seed).normal(0.5, 0.1, len(days))
    result = medians({"brightness": values}, days=days)
    assert [(one.day, one.images) for one in result] == [
        ((FIRST + timedelta(days=i)).isoformat(), n) for i, n in enumerate(counts)
    ]
    for one, n in zip(result, np.cumsum(counts), strict=True):
        own = values[n - one.images : n]
        assert one.median == pytest.approx(np.median(own))
        assert (one.low, one.high) == pytest.approx(tuple(np.quantile(own, [0.25, 0.75])))
        assert one.outside == (one.median < one.band_low or one.median > one.band_high)


def test_chance_does_not_leave_the_band_and_a_shift_does() -> None:
    random = np.random.default_rng(1)
    days = days_of([12] * 500)
    quiet = medians({"sharpness": random.normal(0.5, 0.1, len(days))}, days=days)
    assert sum(one.outside for one in quiet) <= 1
    moved = medians({"sharpness": random.normal(0.35, 0.1, 400)}, days=days_of([400]))
    assert moved[0].outside and moved[0].calibration_median == pytest.approx(0.5, abs=0.02)


def test_the_band_is_narrower_for_more_images_and_ends_at_what_matters() -> None:
    few, many = (medians({"contrast": np.full(n, 0.5)}, days=days_of([n]))[0] for n in (4, 100_000))
    assert few.band_high - few.band_low > 2 * (many.band_high - many.band_low)
    assert many.band_high - many.calibration_median == pytest.approx((0.5 + 3 * 1.2533 / 20) * 0.1, rel=0.1)


def test_feature_distance_is_that_of_images_without_alarm_where_there_are_such() -> None:
    days = days_of([3, 2])
    scores = np.array([0.0, 0.0, 9.0, 9.0, 9.0])
    result = medians({"feature_distance": np.array([0.4, 0.5, 5.0, 6.0, 7.0])}, days=days, scores=scores)
    assert [(one.images, one.median) for one in result] == [(2, pytest.approx(0.45)), (2, pytest.approx(6.5))]


def test_what_is_not_known_is_left_out() -> None:
    days = days_of([2, 2])
    values = {"brightness": np.array([np.nan, np.nan, 0.5, np.nan]), "contrast": np.full(4, 0.5)}
    calibration = baseline(np.linspace(0, 1, 20), 0.1, 1.0, {"brightness": np.full(20, 0.5)})
    medians = daily_medians(window(days, np.zeros(4), values), calibration, SETTINGS)
    assert [(one.name, one.day, one.images) for one in medians] == [("brightness", "2026-03-02", 1)]
