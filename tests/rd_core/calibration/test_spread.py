"""What differences are counted in: never 0, never too small for the values."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rd_core.calibration.spread import at_least, is_none, scaled, spread, unscaled
from tests.examples import FINITE

VALUES = st.lists(FINITE, min_size=1, max_size=20).map(np.array)


def test_equal_values_still_have_a_spread():
    assert spread(np.full(10, 50.0)) == pytest.approx(50e-6)
    assert spread(np.zeros(10)) == 1e-6
    assert spread(np.r_[np.zeros(9), 1.0]) == pytest.approx(0.3)
    assert spread(np.arange(101.0)) == pytest.approx(25 * 1.4826, rel=1e-3)


def test_values_that_only_rounding_tells_apart_are_equal():
    just_above = np.nextafter(50.0, 51)
    assert spread(np.array([50.0, 50.0, just_above, just_above])) == pytest.approx(50e-6)
    assert spread(np.array([0.0, 2.2e-309])) == 1e-6
    assert is_none(1e-8, np.array([0.5, 0.5])) and not is_none(1e-6, np.array([0.5, 0.5]))


@given(VALUES)
@example(np.array([1.7e308, -1.7e308]))
def test_a_spread_is_finite_and_above_0(values):
    assert 0 < spread(values) < np.inf


@given(VALUES, VALUES, st.floats(5e-324, 1e300))
def test_any_difference_has_so_many_units_and_no_more(one, other, unit):
    counted = at_least(unit, one, other)
    (near, far), exponent = scaled(one, other)
    assert (np.abs(near[0] - far) / np.ldexp(counted, -exponent) <= 2.0**51).all()


@given(VALUES)
def test_scaling_is_undone_but_for_what_is_nothing_beside_the_largest(values):
    (near,), exponent = scaled(values)
    assert (np.abs(near) <= 1).all()
    back = np.array([unscaled(float(value), exponent) for value in near])
    np.testing.assert_allclose(back, values, rtol=0, atol=np.abs(values).max() * 1e-300)
    assert exponent or (near == values).all()


def test_what_float64_cannot_hold_is_cut():
    assert unscaled(1.5, 1024) == np.finfo(np.float64).max == -unscaled(-1.5, 1024)
    (near,), exponent = scaled(np.array([np.nan, np.inf, 3.0]))
    assert exponent == 2 and near[2] == 0.75 and np.isnan(near[0]) and np.isinf(near[1])
