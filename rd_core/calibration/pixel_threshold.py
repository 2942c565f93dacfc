"""The pixel threshold, which marks the extent of a defect.

A defect's edge is fainter than the peak that decides about the image, so its extent is taken at the value that a
small share of the pixels of held-out normal images exceed.
"""

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


class PixelCounts:
    """How often each float16 value occurs in the maps of held-out normals, added in any order; half a megabyte."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._images = 0

    def add(self, maps: NDArray[np.float16], counted: NDArray[np.bool_] | None = None) -> None:
        """Count maps (B, H, W). counted: bool (B, H, W), False in ignored regions; None: all pixels count."""
        self._counts += _occurrences(maps, counted)
        self._images += len(maps)

    def remove(self, maps: NDArray[np.float16], counted: NDArray[np.bool_] | None = None) -> None:
        """Take back maps (B, H, W) that were added with these counted pixels."""
        self._counts -= _occurrences(maps, counted)
        self._images -= len(maps)

    def threshold(self, alpha: float = PIXEL_ALPHA) -> PixelThreshold:
        """Compute the smallest stored value that at most a share `alpha` of all pixels exceeds; exact.

        Raises TooFewNormals without a map, ConfigError for an alpha outside (0, 1), ValueError for values that are
        not finite.
        """
        if not 0 < alpha < 1:
            raise ConfigError(
                f"alpha {alpha} is not a share of pixels. Give one between 0 and 1, such as {PIXEL_ALPHA}."
            )
        if self._images == 0:
            raise TooFewNormals(
                "without held-out normal maps there is no pixel threshold. Hold out some normal images."
            )
        ordered = in_order(self._counts)
        if not np.isfinite(VALUES[np.flatnonzero(ordered)]).all() or ordered.sum() != self._counts.sum():
            raise ValueError(
                "a map has values that are not finite, so their ranks are unknown. Leave out images without a score."
            )
        above = ordered.sum() - np.cumsum(ordered)
        value = VALUES[np.flatnonzero((above <= alpha * ordered.sum()) & (ordered > 0))[0]]
        return PixelThreshold(float(value), alpha, self._images)


def _occurrences(maps: NDArray[np.float16], counted: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """How often each value occurs, by its bits (65536,)."""
    return np.bincount(bits(maps if counted is None else maps[counted]), minlength=BINS)
