"""Shifts of a figure's median, with distribution-free intervals."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from rd_core.calibration.spread import at_least, scaled, unscaled
from rd_core.drift.unit import unit_of


@dataclass(frozen=True)
class Shift:
    """The window's median of one figure less that of the calibration set."""

    name: str
    """score, or an image statistic"""
    calibration_median: float
    """in the figure's own unit"""
    window_median: float
    """in the figure's own unit"""
    shift: float
    """difference of the medians in robust standard deviations of the calibration"""
    low: float
    """lower end of its interval"""
    high: float
    """upper end of it"""
    limit: float
    """smallest relevant shift"""
    moved: bool
    """whether it is at least `limit` and its interval excludes 0"""


def median_shift(
    name: str, values: NDArray[np.float64], calibration: NDArray[np.float64], limit: float, significance: float
) -> Shift | None:
    """Compare the medians of values (m,) of a window and (n,) of the calibration set; None if either has no finite
    value.

    The interval at level 1 - significance combines the order-statistic intervals of the two medians by the method of
    variance estimates recovery (Zou and Donner 2008).
    """
    new, held = (np.sort(v[np.isfinite(v)]) for v in (values, calibration))
    if not len(new) or not len(held):
        return None
    unit = at_least(unit_of(name, held), new, held)
    (new, held), exponent = scaled(new, held)
    unit = math.ldexp(unit, -exponent)
    new_low, new_middle, new_high = (v / unit for v in _median_interval(new, significance, unit))
    held_low, held_middle, held_high = (v / unit for v in _median_interval(held, significance, unit))
    shift = new_middle - held_middle
    low = shift - float(np.hypot(new_middle - new_low, held_high - held_middle))
    high = shift + float(np.hypot(new_high - new_middle, held_middle - held_low))
    moved = abs(shift) >= limit and not low <= 0 <= high
    was, became = (unscaled(float(np.median(v)), exponent) for v in (held, new))
    return Shift(name, was, became, shift, low, high, limit, moved)


def _median_interval(ordered: NDArray[np.float64], significance: float, unit: float) -> tuple[float, float, float]:
    """Lower end, median and upper end; the number of n values below the true median is binomial(n, 1/2).

    A dozen values or fewer cannot bound it so; they get a normal interval with the calibration set's spread.
    """
    n, middle = len(ordered), float(np.median(ordered))
    below = _values_below(n, significance)
    if below == 0:
        half = float(norm.isf(significance / 2)) * math.sqrt(math.pi / (2 * n)) * unit
        return middle - half, middle, middle + half
    return float(ordered[below - 1]), middle, float(ordered[n - below])


@lru_cache(maxsize=4096)
def _values_below(n: int, significance: float) -> int:
    return int(binom.ppf(significance / 2, n, 0.5))
