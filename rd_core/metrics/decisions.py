"""Alarms, false alarms and misses of a threshold fixed beforehand, with their intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rd_core.metrics.image_metrics import check_images
from rd_core.metrics.intervals import Interval, clopper_pearson


@dataclass(frozen=True)
class Decisions:
    """Counts of images and the rates that follow, each with its Clopper-Pearson interval.

    The intervals take images as independent; where several images show one part use part_bootstrap too.
    """

    threshold: float
    """an image is flagged when its score is above"""
    true_positives: int
    """anomalous, flagged"""
    false_positives: int
    """normal, flagged: false alarms"""
    false_negatives: int
    """anomalous, not flagged: misses"""
    true_negatives: int
    """normal, not flagged"""
    precision: Interval
    """share of flagged images that are anomalous, at this test set's share of anomalous images; NaN if none is
    flagged"""
    recall: Interval
    """share of anomalous images that are flagged; NaN if there are none"""
    false_alarm_rate: Interval
    """share of normal images that are flagged; NaN if there are none"""


def decisions_at(threshold: float, scores: ArrayLike, is_anomalous: ArrayLike) -> Decisions:
    """Count the decisions of a threshold on scores float [n] with labels bool [n].

    Raises ValueError for a threshold or scores that are not finite, labels that are not bool, or lengths that differ.
    """
    values, anomalous = check_images(scores, is_anomalous)
    flagged = values > check_threshold(threshold)
    hits, alarms, misses, passes = (
        int(np.count_nonzero(chosen))
        for chosen in (flagged & anomalous, flagged & ~anomalous, ~flagged & anomalous, ~flagged & ~anomalous)
    )
    return Decisions(
        threshold,
        hits,
        alarms,
        misses,
        passes,
        precision=clopper_pearson(hits, hits + alarms),
        recall=clopper_pearson(hits, hits + misses),
        false_alarm_rate=clopper_pearson(alarms, alarms + passes),
    )


def check_threshold(threshold: float) -> float:
    """Return the threshold. Raises ValueError when it is not finite."""
    if not np.isfinite(threshold):
        raise ValueError(f"a threshold of {threshold} decides nothing. Give the one of the model card.")
    return threshold
