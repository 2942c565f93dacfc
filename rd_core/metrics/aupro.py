"""AUPRO: the area under the per-region overlap up to a limit of the false-positive rate.

Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021: the overlap at a threshold is the mean over regions
of the share of the region above it, the false-positive rate (FPR) the share of all defect-free pixels above it. The
curve has a point for every value that occurs and is linear between.
"""

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_weights import UNIT


def aupro(tables: PixelTables, limit: float = 0.3) -> float:
    """AUPRO in [0, 1]: the area up to FPR `limit` (0.3 and 0.05 are usual) over the limit, within 2^-40 of exact.

    A pixel of score s raises its region's overlap on a ramp from FPR(score > s) to FPR(score >= s). NaN without a
    region or a defect-free pixel. Raises ConfigError for a limit outside (0, 1].
    """
    check_limit(limit)
    above, at_least = false_positive_rates(tables.defect_free())
    if not tables.regions or np.isnan(above).any():
        return float("nan")
    held = np.flatnonzero(tables.region_weights)
    areas = area_under_ramp(above[held], at_least[held], limit)
    return float(tables.region_weights[held] @ areas / UNIT / tables.regions / limit)


def check_limit(limit: float) -> None:
    """Raise ConfigError unless the limit is in (0, 1]."""
    if not 0 < limit <= 1:
        raise ConfigError(f"an FPR limit of {limit} leaves no area to measure. Give one in (0, 1], as 0.3 or 0.05.")


def false_positive_rates(defect_free: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of defect-free pixels (above each bin, in it or above) [k], from their counts by bin [k]; NaN without
    pixels."""
    at_least = np.cumsum(defect_free[::-1])[::-1]
    total = at_least[0] if at_least[0] else np.nan
    return (at_least - defect_free) / total, at_least / total


def area_under_ramp(start: NDArray[np.float64], end: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Area [k] up to `limit` under a function that is 0 before `start`, 1 after `end` and linear between."""
    length = np.where(end > start, end - start, 1)
    within = np.clip(limit - start, 0, end - start)
    return np.asarray(within**2 / (2 * length) + np.maximum(limit - end, 0))
