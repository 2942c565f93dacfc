"""Recall of defect regions by size, at a pixel threshold."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.intervals import Interval, clopper_pearson
from rd_core.metrics.pixel_truth import DefectiveMap, pixel_truths
from rd_core.pictures.masks import region_of_pixels

AREA_EDGES = (0.0, 0.0001, 0.001, 0.01, 0.1, 1.0)
"""shares of the image's area; at 256 x 256 these are 6, 65, 655, 6553 and all pixels"""
FOUND_SHARE = 0.3


@dataclass(frozen=True)
class SizeRecall:
    """The regions in one range of sizes."""

    above: float
    """lower end of the range of areas, as a share of the image, excluded"""
    up_to: float
    """upper end of it, included"""
    found: int
    """regions detected"""
    total: int
    """regions"""
    recall: Interval
    """found / total; the interval takes regions as independent"""


@dataclass(frozen=True)
class RegionRecall:
    """Counts of mask regions, detected and in all, by size. `a + b` counts the images of both."""

    threshold: float
    """of the map's values; a pixel is flagged when above"""
    share: float
    """share of a region's pixels that must be flagged to detect it; 0: one pixel is enough"""
    edges: tuple[float, ...]
    """[k + 1] rising shares of the image's area, from 0 to 1; a range includes its upper edge only"""
    found: tuple[int, ...]
    """[k], by range"""
    total: tuple[int, ...]
    """[k], by range"""

    @classmethod
    def of(
        cls,
        maps: Iterable[NDArray[np.float16]],
        masks: Iterable[NDArray[np.bool_] | None],
        is_anomalous: Iterable[bool | np.bool_],
        threshold: float,
        share: float = FOUND_SHARE,
        edges: tuple[float, ...] = AREA_EDGES,
    ) -> "RegionRecall":
        """Count the regions of some images; maps, masks and labels as in PixelTables.of(), one image in memory at a
        time.

        Regions are 8-connected. Raises ConfigError for invalid settings, ValueError for inputs that contradict each
        other.
        """
        _check(threshold, share, edges)
        found, total = (np.zeros(len(edges) - 1, dtype=np.int64) for _ in range(2))
        for truth in pixel_truths(maps, masks, is_anomalous):
            if isinstance(truth, DefectiveMap):
                sizes, above = _regions(truth, threshold)
                # A region of size n is found from share * n on; dividing keeps 3 of 10 at 0.3 on the right side.
                is_found = (above > 0) & (above / sizes >= share)
                # sizes / area and not edges * area, likewise.
                place = np.searchsorted(edges, sizes / truth.defects.size, side="left") - 1
                np.add.at(total, place, 1)
                np.add.at(found, place[is_found], 1)
        return cls(threshold, share, edges, tuple(found.tolist()), tuple(total.tolist()))

    def __add__(self, other: "RegionRecall") -> "RegionRecall":
        """Add the counts of two sets of images. Raises ValueError unless both have the same settings."""
        mine, theirs = ((r.threshold, r.share, r.edges) for r in (self, other))
        if mine != theirs:
            raise ValueError(
                f"regions counted with threshold, share and edges {mine} and {theirs} do not add up. "
                "Count all of them with the same."
            )
        found, total = (
            tuple(a + b for a, b in zip(x, y, strict=True))
            for x, y in ((self.found, other.found), (self.total, other.total))
        )
        return RegionRecall(*mine, found, total)

    def by_size(self) -> tuple[SizeRecall, ...]:
        """A row for each range of sizes, from small to large. Recall is NaN, in [0, 1], for a range without
        regions."""
        return tuple(
            SizeRecall(above, up_to, found, total, clopper_pearson(found, total))
            for (above, up_to), found, total in zip(pairwise(self.edges), self.found, self.total, strict=True)
        )


def _regions(truth: DefectiveMap, threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count (pixels, pixels above the threshold) of each region [k].

    Compared in float64: as float16 the threshold would be rounded and could pass pixels below it.
    """
    regions, count = region_of_pixels(truth.defects)
    above = truth.values[truth.defects].astype(np.float64) > threshold
    return np.bincount(regions, minlength=count), np.bincount(regions[above], minlength=count)


def _check(threshold: float, share: float, edges: tuple[float, ...]) -> None:
    if np.isnan(threshold) or not 0 <= share <= 1:
        raise ConfigError(
            f"a threshold of {threshold} with a share of {share} does not define when a region is detected. "
            "Give a number, and a share in [0, 1]."
        )
    if len(edges) < 2 or edges[0] != 0 or edges[-1] != 1 or any(b <= a for a, b in pairwise(edges)):
        raise ConfigError(
            f"the edges {edges} leave regions without a range. Give rising shares of the area from 0.0 to 1.0."
        )
