"""The alarm rate against the promised rate, with a finite calibration set.

A conformal threshold, the k-th smallest of n normal scores, has a random false-alarm rate, Beta(n + 1 - k, k), so of
m later normal images BetaBinomial(m, n + 1 - k, k) raise an alarm.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import betabinom, binom

from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, Window, iso
from rd_core.metrics.intervals import clopper_pearson

BELOW, WITHIN, ABOVE = "below", "within", "above"


@dataclass(frozen=True)
class AlarmRate:
    """Alarms among the images of a day or of a whole window."""

    first_day: str
    """ISO date"""
    last_day: str
    """ISO date"""
    images: int
    """scored"""
    alarms: int
    """of them above the threshold"""
    rate: float
    """alarms / images"""
    low: float
    """lower end of the 95 % Clopper-Pearson interval of the rate"""
    high: float
    """upper end of it"""
    alpha: float
    """promised false-alarm rate"""
    in_control_low: int
    """fewest alarms within the expected range"""
    in_control_high: int
    """most alarms within the expected range: false alarms and the ordinary share of defects"""
    verdict: str
    """below, within or above the expected range"""


def alarm_rate(window: Window, baseline: Baseline, settings: DriftSettings) -> AlarmRate:
    """Compute the alarm rate of the whole window."""
    alarms = int(np.count_nonzero(window.scores > baseline.threshold))
    return _rate(int(window.days[0]), int(window.days[-1]), len(window.scores), alarms, baseline, settings)


def alarm_rate_by_day(window: Window, baseline: Baseline, settings: DriftSettings) -> tuple[AlarmRate, ...]:
    """Compute an alarm rate a day, in order."""
    return tuple(
        _rate(day, day, len(scores), int(np.count_nonzero(scores > baseline.threshold)), baseline, settings)
        for day, scores in window.by_day()
    )


def threshold_rank(baseline: Baseline) -> int:
    """k, from 1 to n: the threshold is distributed as the k-th smallest of n normal scores.

    Counted at the threshold itself, so it also holds for one set by hand.
    """
    return max(1, int(np.searchsorted(baseline.scores, baseline.threshold, side="right")))


@lru_cache(maxsize=4096)
def in_control_alarms(images: int, n: int, rank: int, defect_share: float, significance: float) -> tuple[int, int]:
    """Fewest and most alarms among `images` of a process in control, at level 1 - significance.

    The lower end assumes no defects; the upper end adds Binomial(images, defect_share) alarms of true defects.
    """
    from scipy.signal import convolve  # noqa: PLC0415  # half a second, and flows import this module for its types alone

    normals = betabinom.pmf(np.arange(images + 1), images, n + 1 - rank, rank)
    low = int(np.searchsorted(np.cumsum(normals), significance / 2))
    most_defects = int(binom.isf(significance * 1e-3, images, defect_share))
    defects = binom.pmf(np.arange(most_defects + 1), images, defect_share)
    total = np.cumsum(convolve(normals, defects))
    high = int(np.searchsorted(total, 1 - significance / 2))
    return min(low, images), min(high, images)


def _rate(first: int, last: int, images: int, alarms: int, baseline: Baseline, settings: DriftSettings) -> AlarmRate:
    rate = clopper_pearson(alarms, images)
    fewest, most = in_control_alarms(
        images, len(baseline.scores), threshold_rank(baseline), settings.defect_share, settings.significance
    )
    verdict = ABOVE if alarms > most else BELOW if alarms < fewest else WITHIN
    return AlarmRate(
        iso(first), iso(last), images, alarms, rate.value, rate.low, rate.high, baseline.alpha, fewest, most, verdict
    )
