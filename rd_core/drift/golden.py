"""Golden images: the same files scored again every night. Only a changed model or software changes their scores."""

import math
from dataclasses import dataclass

import numpy as np

from rd_core.calibration.spread import at_least, scaled, spread
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, Window


@dataclass(frozen=True)
class GoldenReplay:
    """Golden scores of the last day against those at the model's creation."""

    images: int
    """replayed"""
    changed: int
    """those that changed by more than the tolerance, or have no score"""
    largest_change: float
    """in robust standard deviations of the calibration scores, among those with a score"""
    tolerance: float
    """in the same unit"""


def golden_replay(window: Window, baseline: Baseline, settings: DriftSettings) -> GoldenReplay | None:
    """Compare golden scores; None unless both sides have some. Raises ValueError for different numbers of them."""
    before, now = baseline.golden, window.golden
    if before is None or now is None:
        return None
    if len(before) != len(now):
        raise ValueError(
            f"{len(now)} golden images were replayed but {len(before)} are known: they cannot be matched. Replay the "
            "same images in the same order, NaN for one that failed."
        )
    unit = at_least(spread(baseline.scores), now, before)
    (now, before), exponent = scaled(now, before)
    with np.errstate(invalid="ignore"):  # neither has a finite score: that has changed, too
        change = np.abs(now - before) / math.ldexp(unit, -exponent)
    changed = ~(change <= settings.golden_tolerance)
    largest = float(np.max(change, initial=0.0, where=np.isfinite(change)))
    return GoldenReplay(len(now), int(np.count_nonzero(changed)), largest, settings.golden_tolerance)
