"""Defect regions of an anomaly map and their bounding boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MOST_REGIONS = 20
"""of one image"""
_EIGHT = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class DefectRegion:
    """A connected anomalous region and its bounding box, in pixels of the map."""

    top: int
    left: int
    height: int
    width: int
    area: int
    """pixels"""
    peak: float
    """largest value"""


def defect_regions(anomaly_map: NDArray[np.floating], extent: float, peak: float) -> tuple[DefectRegion, ...]:
    """Find 8-connected regions of (H, W) above `extent` whose largest value is above `peak`: highest first, at most
    20.

    Hysteresis (Canny 1986): `peak` decides that there is a defect, the lower `extent` how far it goes. With `extent`
    above `peak`, `peak` is used for both.
    """
    labelled, count = ndimage.label(anomaly_map > min(extent, peak), structure=_EIGHT)
    if count == 0:
        return ()
    areas = np.bincount(labelled.ravel(), minlength=count + 1)[1:]
    peaks = ndimage.maximum(anomaly_map, labelled, index=np.arange(1, count + 1))
    regions = [
        DefectRegion(
            top=rows.start,
            left=columns.start,
            height=rows.stop - rows.start,
            width=columns.stop - columns.start,
            area=int(area),
            peak=float(value),
        )
        for (rows, columns), area, value in zip(ndimage.find_objects(labelled), areas, peaks, strict=True)
        if value > peak
    ]
    return tuple(sorted(regions, key=lambda region: (-region.peak, region.top, region.left))[:MOST_REGIONS])
