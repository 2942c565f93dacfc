"""Normal and anomalous cases counted by score, and the metrics of such rankings.

Cases are pixels, images or bootstrap resamples of images. All metrics are NaN where normal or anomalous cases are
missing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ranking:
    """Numbers of normal and anomalous cases at each score."""

    values: NDArray[np.float64]
    """distinct scores [k], rising, no NaN"""
    normal: NDArray[np.int64]
    """normal cases of each score [..., k], leading axes are resamples"""
    anomalous: NDArray[np.int64]
    """anomalous cases of each score [..., k]"""


@dataclass(frozen=True)
class OracleF1:
    """The best F1 of any threshold, chosen with the true labels.

    An upper bound to compare with papers; a threshold fixed beforehand reaches less.
    """

    value: float
    """in [0, 1]; NaN where undefined"""
    threshold: float
    """cases above it are flagged: the largest score not flagged, -inf if all are; NaN where undefined"""


def auroc(ranking: Ranking) -> NDArray[np.float64]:
    """P(an anomalous case scores above a normal one) + P(they tie) / 2, [...]."""
    below = np.cumsum(ranking.normal, axis=-1) - 0.5 * ranking.normal
    pairs = ranking.normal.sum(axis=-1, dtype=np.float64) * ranking.anomalous.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((ranking.anomalous * below).sum(axis=-1) / pairs)


def average_precision(ranking: Ranking) -> NDArray[np.float64]:
    """Mean precision at the scores of the anomalous cases, [...]; no interpolation, as scikit-learn's
    average_precision_score."""
    hits, alarms = _flagged(ranking)
    precision = hits / np.maximum(hits + alarms, 1)
    with np.errstate(invalid="ignore"):
        average = (ranking.anomalous * precision).sum(axis=-1) / ranking.anomalous.sum(axis=-1)
    return np.where(_defined(ranking), average, np.nan)


def oracle_f1(ranking: Ranking) -> OracleF1:
    """The best F1 of one ranking (no leading axes) and its threshold, the highest of several."""
    if not _defined(ranking):
        return OracleF1(np.nan, np.nan)
    f1 = _f1(ranking)
    lowest_flagged = len(f1) - 1 - int(f1[::-1].argmax())
    threshold = ranking.values[lowest_flagged - 1] if lowest_flagged else -np.inf
    return OracleF1(float(f1[lowest_flagged]), float(threshold))


def _f1(ranking: Ranking) -> NDArray[np.float64]:
    """F1 [..., k] when scores from each value upwards are flagged. No threshold lies below -inf, so there it is 0."""
    hits, alarms = _flagged(ranking)
    positives = ranking.anomalous.sum(axis=-1)[..., None]
    f1 = 2 * hits / np.maximum(hits + alarms + positives, 1)
    return np.where(np.isneginf(ranking.values), 0, f1)


def _flagged(ranking: Ranking) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(anomalous, normal) cases with at least each score, [..., k]."""
    hits, alarms = (
        np.cumsum(counts[..., ::-1], axis=-1, dtype=np.int64)[..., ::-1]
        for counts in (ranking.anomalous, ranking.normal)
    )
    return hits, alarms


def _defined(ranking: Ranking) -> NDArray[np.bool_]:
    return np.asarray(ranking.normal.any(axis=-1) & ranking.anomalous.any(axis=-1))
