"""How the pixels of a region spread over the bins, as integer shares, so that sums do not depend on their order.

A share is held in units of 2^-40. The share of a region up to any bin is rounded to the nearest unit, so every region
weighs exactly 2^40. A mean over regions of a monotonic function of the bin in [0, 1], such as AUPRO, is therefore
within 2^-40 (1e-12) of the exact one.
"""

import numpy as np
from numpy.typing import NDArray

UNIT = 2**40
"""the weight of one whole region"""
REGIONS_LIMIT = (2**63 - 1) // UNIT
"""more regions than these 8,388,607 could overflow int64"""


def add_region_weights(weights: NDArray[np.int64], bins: NDArray[np.uint16], regions: NDArray[np.intp]) -> None:
    """Add the regions of an image to `weights` int64 [65536], from the bin [k] and the region from 0 [k] of each
    defect pixel.

    Every region from 0 to the largest must have a pixel.
    """
    sizes = np.bincount(regions)
    ordered = np.sort(regions << 16 | bins)
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    region = ordered[last] >> 16
    before = (np.cumsum(sizes) - sizes)[region]
    up_to = np.rint((last + 1 - before) / sizes[region] * UNIT).astype(np.int64)
    first_of_region = np.append(True, region[1:] != region[:-1])
    below = np.where(first_of_region, 0, np.roll(up_to, 1))
    np.add.at(weights, ordered[last] & 0xFFFF, up_to - below)
