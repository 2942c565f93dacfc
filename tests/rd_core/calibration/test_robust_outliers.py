"""Robust z: outliers stand out, lasting changes do not."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rd_core.calibration.robust_outliers import robust_z
from tests.examples import FINITE

WHOLE = st.lists(st.integers(-1000, 1000), min_size=8, max_size=60)


def slow_z(values: list[float], own: float) -> float:
    middle = float(np.median(values))
    mad = float(np.median([abs(value - middle) for value in values]))
    if mad == 0:
        mean = sum(abs(value - middle) for value in values) / len(values)
        return 0.7979 * (own - middle) / mean if mean else 0.0
    return 0.6745 * (own - middle) / mad


@given(WHOLE)
def test_it_is_the_formula_on_one_day(values: list[int]) -> None:
    z_scores = robust_z(values, [5] * len(values))
    np.testing.assert_allclose(z_scores, [slow_z(values, value) for value in values], rtol=1e-12, atol=1e-12)


@given(WHOLE, st.integers(-50, 50), st.integers(1, 20))
def test_shifting_and_scaling_all_changes_nothing(values: list[int], shift: int, scale: int) -> None:
    days = [0] * len(values)
    moved = [scale * value + shift for value in values]
    np.testing.assert_allclose(robust_z(moved, days), robust_z(values, days), rtol=1e-9, atol=1e-9)


@given(WHOLE, WHOLE)
def test_days_that_are_large_enough_do_not_know_of_each_other(one: list[int], other: list[int]) -> None:
    both = robust_z([*one, *other], [0] * len(one) + [1] * len(other))
    apart = [robust_z(one, [0] * len(one)), robust_z(other, [1] * len(other))]
    np.testing.assert_array_equal(both, np.concatenate(apart))


def test_a_few_wrong_labels_stand_out_and_a_day_under_another_light_does_not() -> None:
    random = np.random.default_rng(0)
    before, after = random.normal(0, 0.05, 40), random.normal(0.5, 0.05, 40)
    after[:6] += 0.6
    z_scores = robust_z([*before, *after], [1] * 40 + [2] * 40)
    assert (z_scores[40:46] > 3.5).all()
    assert (z_scores[46:] < 3.5).all() and (z_scores[:40] < 3.5).all()


def test_a_small_day_is_measured_with_its_neighbours_and_not_with_all() -> None:
    days = [1] * 30 + [20] * 5 + [21] * 5
    values = [*np.linspace(0, 0.1, 30), *np.linspace(0.5, 0.6, 5), *np.linspace(0.5, 0.6, 5)]
    assert (robust_z(values, days)[30:] < 3.5).all()
    assert robust_z([*values, 0.9], [*days, 21])[-1] > 3.5


def test_equal_values_and_none_are_no_outliers() -> None:
    assert robust_z([2.0] * 9, [1] * 9).tolist() == [0.0] * 9
    assert robust_z([], []).tolist() == []
    assert robust_z([2.0] * 9 + [3.0], [1] * 10)[-1] == pytest.approx(0.7979 / 0.1)


@given(st.lists(FINITE, min_size=1, max_size=20))
@example([0.0] * 9 + [5e-324])
@example([1.7e308, -1.7e308, 0.0])
def test_any_finite_values_stand_out_by_finite_figures(values: list[float]) -> None:
    assert np.isfinite(robust_z(values, [1] * len(values))).all()


def test_what_only_rounding_tells_apart_does_not_stand_out() -> None:
    assert not robust_z([0.3] * 5 + [0.1 + 0.2] * 5, [1] * 10).any()


def test_what_has_no_median_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        robust_z([1.0, np.nan], [1, 1])
    with pytest.raises(ValueError, match="2 values but 1 days"):
        robust_z([1.0, 2.0], [1])
