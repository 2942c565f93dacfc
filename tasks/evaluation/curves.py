"""The curves of an evaluation, thinned to visible points."""

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics.aupro import false_positive_rates
from rd_core.metrics.image_metrics import image_ranking
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_weights import UNIT
from reports.evaluation.measures import Curve

PRO_LIMIT = 0.3
MOST_POINTS = 160


def roc_curve(scores: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> Curve | None:
    """Scores [n], labels bool [n] -> recall over the false-alarm rate; None unless both labels occur."""
    ranked = image_ranking(scores, anomalous)
    if not ranked.normal.any() or not ranked.anomalous.any():
        return None
    x, y = (
        np.concatenate([[0.0], np.cumsum(counts[::-1]) / counts.sum()])
        for counts in (ranked.normal, ranked.anomalous)
    )
    return _thinned(x, y)


def pro_curve(tables: PixelTables) -> Curve | None:
    """Mean covered share of a region over the pixel false-positive rate, up to PRO_LIMIT.

    None without a region or a defect-free pixel.
    """
    defect_free = tables.defect_free()
    if not tables.regions or not defect_free.any():
        return None
    occupied = np.flatnonzero(defect_free + tables.region_weights)[::-1]
    _, at_least = false_positive_rates(defect_free)
    overlap = np.cumsum(tables.region_weights[occupied]) / UNIT / tables.regions
    x, y = np.concatenate([[0.0], at_least[occupied]]), np.concatenate([[0.0], overlap])
    within = x < PRO_LIMIT
    return _thinned(np.append(x[within], PRO_LIMIT), np.append(y[within], np.interp(PRO_LIMIT, x, y)))


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    """At most MOST_POINTS of the points [k], evenly spaced along the drawn line, with both ends."""
    walked = np.concatenate([[0.0], np.cumsum(np.diff(x) / x[-1] + np.diff(y))])
    kept = np.unique(np.searchsorted(walked, np.linspace(0, walked[-1], MOST_POINTS)).clip(0, len(x) - 1))
    return Curve(x[kept], y[kept])
