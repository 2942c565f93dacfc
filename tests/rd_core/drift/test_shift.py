import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rd_core.drift.shift import median_shift
from tests.examples import FINITE


def test_the_shift_is_in_robust_standard_deviations():
    calibration = np.random.default_rng(0).normal(10, 2, 4000)
    shift = median_shift("brightness", np.random.default_rng(1).normal(13, 2, 4000), calibration, 0.5, 0.01)
    assert shift.shift == pytest.approx(1.5, abs=0.1)
    assert shift.low < 1.5 < shift.high
    assert shift.high - shift.low < 0.35
    assert (shift.calibration_median, shift.window_median) == pytest.approx((10, 13), abs=0.15)
    assert shift.moved


def test_a_small_or_uncertain_shift_has_not_moved():
    random = np.random.default_rng(2)
    held = random.normal(size=4000)
    assert not median_shift("contrast", random.normal(0.3, 1, 4000), held, 0.5, 0.01).moved  # small
    assert median_shift("contrast", random.normal(0.3, 1, 4000), held, 0.2, 0.01).moved
    assert not median_shift("contrast", np.array([1.0, 1.2]), held, 0.5, 0.01).moved  # two images


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_the_interval_covers_no_shift_when_there_is_none(law):
    draw = getattr(np.random.default_rng(3), law)
    result = [median_shift("score", draw(size=200), draw(size=50), 0, 0.1) for _ in range(200)]
    covered = np.mean([s.low <= 0 <= s.high for s in result])
    assert 0.86 < covered < 0.99


def test_defects_among_the_images_hardly_move_it():
    values = np.random.default_rng(4).normal(size=2000)
    defective = np.r_[values, np.full(40, 1e6)]
    assert median_shift("score", defective, values, 0, 0.01).shift == pytest.approx(0, abs=0.05)


def test_unknown_values_are_left_out():
    shift = median_shift("score", np.array([np.nan, 1.0]), np.array([0.0, 1.0, 2.0, np.nan]), 0, 0.01)
    assert (shift.calibration_median, shift.window_median) == (1, 1)
    assert median_shift("score", np.array([np.nan]), np.array([1.0]), 0, 0.01) is None
    assert median_shift("score", np.array([1.0]), np.array([]), 0, 0.01) is None


@given(st.lists(FINITE, min_size=1, max_size=30), st.lists(FINITE, min_size=1, max_size=30))
@example([0.0], [0.0, 2.2250738585e-309])
@example([1e6], [0.0, 2.2250738585e-309])
@example([-1.7e308], [1.7e308, 0.0, 5e-324])
def test_the_shift_lies_in_its_interval(new, held):
    shift = median_shift("score", np.array(new), np.array(held), 0.3, 0.05)
    assert shift.low <= shift.shift <= shift.high
    assert np.isfinite([shift.low, shift.high]).all()
    assert np.isfinite([shift.calibration_median, shift.window_median]).all()


def test_a_shift_has_no_unit():
    random = np.random.default_rng(5)
    new, held = random.normal(1, 1, 50), random.normal(size=50)
    result = [median_shift("score", new * unit, held * unit, 0.3, 0.05) for unit in (1.0, 2.0**-600, 2.0**900)]
    assert {(one.shift, one.low, one.high, one.moved) for one in result} == {
        (result[0].shift, result[0].low, result[0].high, True)
    }


def test_an_offset_is_told_in_pixels_where_the_fixture_holds_parts_exactly() -> None:
    exact, moved = np.zeros(40), np.full(200, 3.0)
    shift = median_shift("offset_x", moved, exact, 0.5, 0.002)
    assert shift is not None
    assert (shift.shift, shift.moved) == (3.0, True)
    play = np.where(np.arange(200) % 5 == 0, 1.0, 0.0)  # of a pixel, now and then
    quiet = median_shift("offset_x", play, exact, 0.5, 0.002)
    assert quiet is not None
    assert not quiet.moved
    turned = median_shift("rotation", np.full(200, 0.2), exact, 0.5, 0.002)
    assert turned is not None
    assert turned.shift == pytest.approx(2.0)
    assert median_shift("offset_x", np.full(9, np.nan), exact, 0.5, 0.002) is None
