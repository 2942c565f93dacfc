"""The threshold this window would give, and how many of its decisions would flip.

A window is not labelled: it holds some defects, and a threshold from all its scores would be too high. Assumed is
that the normal images' scores may have moved and stretched but kept the shape of their law, and that defects are a
minority at the top. So the calibration scores, moved and stretched to the window's median and interquartile range,
which few defects leave alone, tell how many alarms normal images would give at the threshold moved likewise. Alarms
in excess of these, up to the ordinary share of defects, are left out from the top; the rest is calibrated as ever.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.spread import at_least, is_none, scaled, unscaled
from rd_core.calibration.threshold import MINIMUM_SCORES, Threshold, calibrate
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, Window


@dataclass(frozen=True)
class Recalibration:
    """What a new threshold from this window's own scores would change."""

    threshold: Threshold
    """from the images taken for normal; its interval does not cover a wrong guess of the defects"""
    left_out: int
    """highest scores taken for true defects"""
    to_normal: int
    """images that are alarms now and would be none"""
    to_anomalous: int
    """images that are no alarms now and would be"""


def recalibrate(window: Window, baseline: Baseline, settings: DriftSettings) -> Recalibration | None:
    """Split conformal on the window at the baseline's alpha; None if it holds too few images for a threshold."""
    ordered = np.sort(window.scores)
    left_out = _likely_defects(ordered, baseline, settings.defect_share)
    kept = ordered[: len(ordered) - left_out]
    if len(kept) < MINIMUM_SCORES:
        return None
    threshold = calibrate(kept, baseline.alpha)
    was, would_be = ordered > baseline.threshold, ordered > threshold.value
    return Recalibration(
        threshold, left_out, int(np.count_nonzero(was & ~would_be)), int(np.count_nonzero(~was & would_be))
    )


def _likely_defects(ordered: NDArray[np.float64], baseline: Baseline, share: float) -> int:
    moved = _moved_threshold(ordered, baseline)
    excess = (np.count_nonzero(ordered > moved) - baseline.alpha * len(ordered)) / (1 - baseline.alpha)
    return round(min(max(excess, 0.0), share * len(ordered)))


def _moved_threshold(ordered: NDArray[np.float64], baseline: Baseline) -> float:
    """The calibration's own threshold, at the same place relative to median and interquartile range."""
    own = calibrate(baseline.scores, baseline.alpha).value
    (held, new, [own]), exponent = scaled(baseline.scores, ordered, np.array([own]))
    held_low, held_middle, held_high = np.quantile(held, [0.25, 0.5, 0.75])
    new_low, new_middle, new_high = np.quantile(new, [0.25, 0.5, 0.75])
    range_of_held = float(held_high - held_low)
    stretch = 1.0 if is_none(range_of_held, held) else (new_high - new_low) / at_least(range_of_held, held, new)
    return unscaled(float(new_middle + (own - held_middle) * stretch), exponent)
