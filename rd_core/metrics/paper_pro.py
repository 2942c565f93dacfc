"""PRO as the authors of Reverse Distillation computed it, only for comparison with published figures.

Unlike in aupro.py every image has its own curve over its own 200 thresholds and defect-free pixels, false-positive
rates below 0.3 are stretched to end at 1, and the area is averaged over images.
"""

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.masks import region_of_pixels

THRESHOLDS = 200
FPR_LIMIT = 0.3


def paper_pro(anomaly_map: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """PRO in [0, 1] of one anomalous image, from its map [H, W] and mask bool [H, W].

    NaN without a defect pixel or a defect-free one, and when fewer than two thresholds have a rate below 0.3 or none
    of those rates is above 0.
    """
    values = anomaly_map.astype(np.float64)
    if mask.all() or not mask.any() or values.min() == values.max():
        return float("nan")
    thresholds = np.linspace(values.min(), values.max(), THRESHOLDS, endpoint=False)
    rates = _share_above(values[~mask], thresholds)
    regions, count = region_of_pixels(mask)
    defects = values[mask]
    overlap = np.mean([_share_above(defects[regions == r], thresholds) for r in range(count)], axis=0)
    kept = rates < FPR_LIMIT
    if np.count_nonzero(kept) < 2 or not rates[kept].any():
        return float("nan")
    return float(-np.trapezoid(overlap[kept], rates[kept] / rates[kept].max()))


def _share_above(values: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - np.searchsorted(np.sort(values), thresholds, side="right") / len(values)
