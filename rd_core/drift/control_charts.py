"""Control charts over days: EWMA and CUSUM of the scores' bulk, CUSUM of the alarms.

A day's bulk is the mean of its normal scores Phi^-1(1 - p), p the mid conformal p-value of an image, cut at +-1.5: a
rank statistic, so no distribution is assumed and a defect weighs no more than one high normal image. A day is
compared with its *predictive* distribution given calibration and earlier days (normal for the bulk, beta-binomial for
the alarms), and enters the charts as a standard normal figure. Such residuals are independent (Rosenblatt 1952;
self-starting charts, Hawkins 1987), so the limits of `run_length` hold for any calibration size. Nothing is learned
while a chart is out of its limits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import betabinom

from rd_core.drift.alarm_rate import threshold_rank
from rd_core.drift.run_length import cusum_limit, ewma_limit
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, Window, iso

BULK_AVERAGE = "bulk_average"
BULK_SUM = "bulk_sum"
ALARM_SUM = "alarm_sum"
_CUT = 1.5
# A day further out than this teaches only as much as a day at this distance.
_LEARNED = 2.0


@dataclass(frozen=True)
class Chart:
    """One control chart over the window's days."""

    name: str
    """bulk_average (exponentially weighted, two-sided), bulk_sum or alarm_sum (cumulative, upwards)"""
    run_length_days: float
    """in-control average run length behind the limit"""
    two_sided: bool
    """whether a value below -limit signals too"""
    limit: float
    """the same on every day"""
    days: tuple[str, ...]
    """ISO dates with images"""
    residuals: tuple[float, ...]
    """each day's deviation from its prediction, in standard deviations"""
    values: tuple[float, ...]
    """of the chart"""
    signalled: tuple[bool, ...]
    """whether the value is beyond the limit"""
    out_since: str | None
    """if the last day signals: the most likely first day of the change"""


class _Level(Protocol):
    def residual(self, scores: NDArray[np.float64]) -> float: ...

    def learned(self, scores: NDArray[np.float64]) -> Self: ...


@dataclass(frozen=True)
class _Bulk:
    """Posterior of the days' mean normal score: normal, with this mean and variance."""

    calibration: NDArray[np.float64]
    mean: float
    variance: float
    image_variance: float
    day_variance: float

    def residual(self, scores: NDArray[np.float64]) -> float:
        return (self._figure(scores) - self.mean) / float(np.sqrt(self.variance + self._noise(scores)))

    def learned(self, scores: NDArray[np.float64]) -> "_Bulk":
        noise = self._noise(scores)
        innovation = np.clip(self.residual(scores), -_LEARNED, _LEARNED) * np.sqrt(self.variance + noise)
        gain = self.variance / (self.variance + noise)
        return replace(self, mean=self.mean + float(gain * innovation), variance=(1 - gain) * self.variance)

    def _figure(self, scores: NDArray[np.float64]) -> float:
        return float(_cut_normal_scores(scores, self.calibration).mean())

    def _noise(self, scores: NDArray[np.float64]) -> float:
        return self.image_variance / len(scores) + self.day_variance


@dataclass(frozen=True)
class _Alarms:
    """Posterior of the alarm rate: Beta(a, b)."""

    threshold: float
    a: float
    b: float

    def residual(self, scores: NDArray[np.float64]) -> float:
        """By the mid p-value of the count, clipped where floating point ends."""
        alarms, law = self._alarms(scores), _alarm_law(len(scores), self.a, self.b)
        at_least = law[alarms + 1 :].sum() + law[alarms] / 2
        return float(-ndtri(np.clip(at_least, 1e-12, 1 - 1e-12)))

    def learned(self, scores: NDArray[np.float64]) -> "_Alarms":
        most = int(np.searchsorted(np.cumsum(_alarm_law(len(scores), self.a, self.b)), ndtr(_LEARNED)))
        alarms = min(self._alarms(scores), most)
        return replace(self, a=self.a + alarms, b=self.b + len(scores) - alarms)

    def _alarms(self, scores: NDArray[np.float64]) -> int:
        return int(np.count_nonzero(scores > self.threshold))


@lru_cache(maxsize=64)
def _alarm_law(images: int, a: float, b: float) -> NDArray[np.float64]:
    """(images + 1,) probabilities of 0, 1, ... alarms; cached for residual and learning."""
    return np.asarray(betabinom.pmf(np.arange(images + 1), images, a, b), dtype=np.float64)


def control_charts(window: Window, baseline: Baseline, settings: DriftSettings) -> tuple[Chart, Chart, Chart]:
    """Compute the bulk's EWMA and CUSUM, and the alarms' CUSUM."""
    weight, reference, length = settings.ewma_weight, settings.cusum_reference, settings.run_length_days
    average_limit = ewma_limit(weight, length) * float(np.sqrt(weight / (2 - weight)))
    average = _Rule(BULK_AVERAGE, lambda v, r: (1 - weight) * v + weight * r, average_limit, True)
    total = _Rule(BULK_SUM, lambda v, r: max(0.0, v + r - reference), cusum_limit(reference, length), False)
    bulk = _follow(window, _bulk_before(baseline, settings), (average, total), length)
    alarms = _follow(window, _alarms_before(baseline, settings), (replace(total, name=ALARM_SUM),), length)
    return bulk[0], bulk[1], alarms[0]


@dataclass(frozen=True)
class _Rule:
    name: str
    step: Callable[[float, float], float]
    limit: float
    two_sided: bool

    def signals(self, value: float) -> bool:
        return value > self.limit or (self.two_sided and value < -self.limit)


def _follow(window: Window, level: _Level, rules: tuple[_Rule, ...], length: float) -> list[Chart]:
    days = window.by_day()
    residuals: list[float] = []
    values: list[list[float]] = [[] for _ in rules]
    current = [0.0] * len(rules)
    for _, scores in days:
        residuals.append(level.residual(scores))
        current = [rule.step(value, residuals[-1]) for rule, value in zip(rules, current, strict=True)]
        for series, value in zip(values, current, strict=True):
            series.append(value)
        if not any(rule.signals(value) for rule, value in zip(rules, current, strict=True)):
            level = level.learned(scores)
    begun = _change_point(np.array(residuals))
    charts = []
    for rule, series in zip(rules, values, strict=True):
        signalled = tuple(rule.signals(value) for value in series)
        since = iso(days[begun][0]) if signalled[-1] else None
        dates = tuple(iso(day) for day, _ in days)
        charts.append(
            Chart(
                rule.name,
                length,
                rule.two_sided,
                rule.limit,
                dates,
                tuple(residuals),
                tuple(series),
                signalled,
                since,
            )
        )
    return charts


def _change_point(residuals: NDArray[np.float64]) -> int:
    """Index of the most likely first day of a lasting change of mean (Pignatiello and Samuel 2001)."""
    sums = np.cumsum(residuals[::-1])[::-1]
    return int(np.argmax(sums**2 / np.arange(len(residuals), 0, -1)))


def _bulk_before(baseline: Baseline, settings: DriftSettings) -> _Bulk:
    """Prior of the first day: 0 apart from defects; n calibration images and the share of defects leave it
    uncertain."""
    n = len(baseline.scores)
    grid = _cut((np.arange(n + 1) + 0.5) / (n + 1))
    variance, pull = float(np.mean(grid**2)), settings.defect_share * _CUT
    return _Bulk(baseline.scores, pull / 2, variance / n + pull**2 / 12, variance, settings.day_to_day**2)


def _alarms_before(baseline: Baseline, settings: DriftSettings) -> _Alarms:
    """Prior of the first day: false alarms Beta(n + 1 - k, k) plus defects up to their share, by two moments."""
    n, rank, share = len(baseline.scores), threshold_rank(baseline), settings.defect_share
    false = (n + 1 - rank) / (n + 1)
    mean = false + (1 - false) * share / 2
    variance = false * (1 - false) / (n + 2) + share**2 / 12
    images = mean * (1 - mean) / variance - 1
    return _Alarms(baseline.threshold, mean * images, (1 - mean) * images)


def _cut_normal_scores(scores: NDArray[np.float64], calibration: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phi^-1 of the calibration's share below each score (m,), ties by half, cut at +-1.5."""
    below = np.searchsorted(calibration, scores, side="left")
    not_above = np.searchsorted(calibration, scores, side="right")
    return _cut(((below + not_above) / 2 + 0.5) / (len(calibration) + 1))


def _cut(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(ndtri(shares), -_CUT, _CUT)
