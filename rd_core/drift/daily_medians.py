"""An image statistic day by day, with the expected range of a day's median."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.spread import scaled, unscaled
from rd_core.drift.causes import FEATURE_DISTANCE
from rd_core.drift.settings import DriftSettings
from rd_core.drift.unit import unit_of
from rd_core.drift.window import Baseline, Window

# 3 standard deviations; of a normal law's median that of n values is 1.2533 / sqrt(n).
_CHANCE = 3 * 1.2533


@dataclass(frozen=True)
class DailyMedian:
    """The median of one image statistic on one day."""

    name: str
    """of the image statistic"""
    day: str
    """ISO date"""
    images: int
    """with a known value"""
    median: float
    """in the statistic's own unit, as all below"""
    low: float
    """lower quartile of the day's images"""
    high: float
    """upper quartile of them"""
    calibration_median: float
    band_low: float
    """lower end of the expected range: the smallest relevant shift plus chance with so few images"""
    band_high: float
    """upper end of it"""

    @property
    def outside(self) -> bool:
        """Whether the median is outside the expected range."""
        return not self.band_low <= self.median <= self.band_high


def daily_medians(window: Window, baseline: Baseline, settings: DriftSettings) -> tuple[DailyMedian, ...]:
    """Compute the daily medians of every statistic that both sides have, by name, then by day.

    Feature distance counts images without an alarm, on days that have some.
    """
    medians = []
    for name, values in window.statistics.items():
        held = baseline.statistics.get(name, np.empty(0))
        if not len(held):
            continue
        chosen = np.isfinite(values)
        if name == FEATURE_DISTANCE:
            chosen = chosen & _counted(window, baseline)
        for day in np.unique(window.days[chosen]):
            medians.append(_of_day(name, int(day), values[chosen & (window.days == day)], held, settings))
    return tuple(medians)


def _counted(window: Window, baseline: Baseline) -> NDArray[np.bool_]:
    """(m,): the images without an alarm, and all images of a day without such."""
    quiet = window.scores <= baseline.threshold
    return quiet | ~np.isin(window.days, window.days[quiet])


def _of_day(
    name: str, day: int, values: NDArray[np.float64], held: NDArray[np.float64], settings: DriftSettings
) -> DailyMedian:
    unit = unit_of(name, held)
    (values, held), exponent = scaled(values, held)
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    middle = float(np.median(held))
    chance = _CHANCE * float(np.sqrt(1 / len(values) + 1 / len(held)))
    reach = (settings.image_shift + chance) * math.ldexp(unit, -exponent)
    iso = date.fromordinal(day).isoformat()
    figures = (unscaled(float(v), exponent) for v in (median, low, high, middle, middle - reach, middle + reach))
    return DailyMedian(name, iso, len(values), *figures)
