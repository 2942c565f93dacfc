"""The threshold that an unlabelled window would give, and the decisions it would change."""

from dataclasses import dataclass

import numpy as np

from rd_core.calibration.threshold import Threshold
from rd_core.calibration.unlabelled import MOST_DEFECTS, calibrate_unlabelled, fewest_scores
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
    """Calibrate on the window at the baseline's alpha, as `calibrate_unlabelled`; None if it has too few images."""
    scores = window.scores
    if len(scores) < fewest_scores(baseline.alpha):
        return None
    most = max(settings.defect_share, MOST_DEFECTS)
    found = calibrate_unlabelled(scores, baseline.alpha, reference=baseline.scores, most=most)
    was, would_be = scores > baseline.threshold, scores > found.threshold.value
    return Recalibration(
        found.threshold,
        found.left_out,
        int(np.count_nonzero(was & ~would_be)),
        int(np.count_nonzero(~was & would_be)),
    )
