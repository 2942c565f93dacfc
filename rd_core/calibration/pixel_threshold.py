"""The pixel threshold, which marks the extent of a defect.

A defect's edge is fainter than the peak that decides about the image, so its extent is taken at the value that a
small share of the pixels of held-out normal images exceed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError, TooFewNormals
from rd_core.metrics.float16_bins import BINS, VALUES, bits, in_order

PIXEL_ALPHA = 0.001


@dataclass(frozen=True)
class PixelThreshold:
    """A pixel belongs to a defect when its value is above `value`."""

    value: float
    """of the anomaly map"""
    alpha: float
    """largest share of the pixels of held-out normal images above `value`"""
    images: int
    """held-out normal images behind it; their pixels are not independent, so the images are counted"""


def calibrate_pixels(maps: Iterable[NDArray[np.float16]], alpha: float = PIXEL_ALPHA) -> PixelThreshold:
    """Compute the smallest stored value that at most a share `alpha` of all pixels exceeds, from maps (H, W) of
    held-out normals.

    Exact for float16; one map in memory at a time. Raises TooFewNormals without a map, ConfigError for an alpha
    outside (0, 1), ValueError for values that are not finite.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha {alpha} is not a share of pixels. Give one between 0 and 1, such as {PIXEL_ALPHA}.")
    counts, images = np.zeros(BINS, dtype=np.int64), 0
    for anomaly_map in maps:
        counts += np.bincount(bits(anomaly_map), minlength=BINS)
        images += 1
    if images == 0:
        raise TooFewNormals("without held-out normal maps there is no pixel threshold. Hold out some normal images.")
    ordered = in_order(counts)
    if not np.isfinite(VALUES[np.flatnonzero(ordered)]).all() or ordered.sum() != counts.sum():
        raise ValueError(
            "a map has values that are not finite, so their ranks are unknown. Leave out images without a score."
        )
    above = ordered.sum() - np.cumsum(ordered)
    value = VALUES[np.flatnonzero((above <= alpha * ordered.sum()) & (ordered > 0))[0]]
    return PixelThreshold(float(value), alpha, images)
