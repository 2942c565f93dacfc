"""The threshold that an unlabelled window would give, and the decisions it would change.

Assumptions: the normal scores may have moved and stretched but kept their distribution's shape, and defects are a
minority at the top. The calibration scores, mapped to the window's median and interquartile range, predict the alarms
of normal images at the threshold mapped likewise. Alarms in excess, up to the ordinary share of defects, are left out
from the top; the rest calibrates as usual.
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
    """A new threshold from this window's scores and its effect."""

    threshold: Threshold
    """from the images taken for normal; its interval does not cover a wrong guess of the defects"""
    left_out: int
    """highest scores taken for true defects"""
    to_normal: int
    """images with an alarm now that would have none"""
    to_anomalous: int
    """images without an alarm now that would have one"""


def recalibrate(window: Window, baseline: Baseline, settings: DriftSettings) -> Recalibration | None:
    """Calibrate on the window at the baseline's alpha; None if it has too few images for a threshold."""
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
    """The calibration's own threshold, mapped by median and interquartile range."""
    own = calibrate(baseline.scores, baseline.alpha).value
    (held, new, [own]), exponent = scaled(baseline.scores, ordered, np.array([own]))
    held_low, held_middle, held_high = np.quantile(held, [0.25, 0.5, 0.75])
    new_low, new_middle, new_high = np.quantile(new, [0.25, 0.5, 0.75])
    range_of_held = float(held_high - held_low)
    stretch = 1.0 if is_none(range_of_held, held) else (new_high - new_low) / at_least(range_of_held, held, new)
    return unscaled(float(new_middle + (own - held_middle) * stretch), exponent)
