"""Sufficient statistics of any number of anomaly maps for the pixel metrics, in tables of fixed size.

Stored maps are float16, so counting pixels by value loses nothing. The tables add up across workers in any order to
the same bits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics.float16_bins import BINS, VALUES, bins, bits, in_order, pieces
from rd_core.metrics.pixel_truth import DefectiveMap, NormalMap, PixelTruth, UncountedMap, pixel_truths
from rd_core.metrics.ranking import Ranking
from rd_core.metrics.region_weights import REGIONS_LIMIT, add_region_weights
from rd_core.pictures.masks import region_of_pixels

_TABLES = ("normal", "around_defects", "anomalous", "region_weights")
_COUNTS = ("regions", "normal_images", "anomalous_images", "unmasked_images", "unscored_images", "height", "width")


@dataclass(frozen=True, eq=False)
class PixelTables:
    """Read-only counts by bin (see float16_bins), int64 [65536] each, and the numbers of images and regions behind
    them.

    `a + b` are the tables of the images of both; PixelTables.empty() is the neutral element.
    """

    normal: NDArray[np.int64]
    """pixels of normal images"""
    around_defects: NDArray[np.int64]
    """defect-free pixels of anomalous images"""
    anomalous: NDArray[np.int64]
    """defect pixels of anomalous images"""
    region_weights: NDArray[np.int64]
    """each region's share of pixels in the bin, summed over regions, in units of 2^-40 (see region_weights)"""
    regions: int
    """8-connected regions of the masks, at most 8,388,607"""
    normal_images: int
    """counted"""
    anomalous_images: int
    """counted: those with a mask"""
    unmasked_images: int
    """anomalous images without a mask; none of their pixels is counted"""
    unscored_images: int
    """images without a map; none of their pixels is counted"""
    height: int
    """of every map, in pixels; 0 before the first"""
    width: int
    """of every map, in pixels; 0 before the first"""

    def __post_init__(self) -> None:
        for name in _TABLES:
            table = getattr(self, name)
            if table.shape != (BINS,) or table.dtype != np.int64:
                raise ValueError(
                    f"the table {name} has the shape {table.shape} and dtype {table.dtype}, so its bins mean "
                    f"nothing. Give int64 [{BINS}], from PixelTables.of() or from_arrays()."
                )
            table.setflags(write=False)
        if self.regions > REGIONS_LIMIT:
            raise OverflowError(
                f"{self.regions} regions are more than the {REGIONS_LIMIT} whose weights fit into int64. "
                "Evaluate fewer images at once, or clean noisy masks."
            )

    @classmethod
    def of(
        cls,
        maps: Iterable[NDArray[np.float16]],
        masks: Iterable[NDArray[np.bool_] | None],
        is_anomalous: Iterable[bool | np.bool_],
        counted: Iterable[NDArray[np.bool_] | None] | None = None,
    ) -> "PixelTables":
        """Count some images: maps float16 [N, H, W], masks bool [H, W] or None, labels bool [N].

        counted: of each image bool [H, W], False in ignored regions, or None; None: all pixels count. All four may be
        generators: one image is in memory at a time. A missing mask is None, never zeros (see pixel_truth). Raises
        ValueError for inputs that contradict themselves or each other.
        """
        counter = _Counter()
        truths = pixel_truths(maps, masks, is_anomalous)
        for truth, counts in zip(truths, repeat(None)) if counted is None else zip(truths, counted, strict=True):
            counter.add(truth, counts)
        return counter.tables()

    @classmethod
    def empty(cls) -> "PixelTables":
        """The tables of no image."""
        return _Counter().tables()

    def __add__(self, other: "PixelTables") -> "PixelTables":
        """Add the tables of two sets of images.

        Raises ValueError when their maps differ in size, OverflowError for too many regions.
        """
        height, width = _common_size((self.height, self.width), (other.height, other.width))
        tables = {name: getattr(self, name) + getattr(other, name) for name in _TABLES}
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return PixelTables(**tables, **{**counts, "height": height, "width": width})

    def defect_free(self) -> NDArray[np.int64]:
        """Defect-free pixels by bin, int64 [65536], of normal and anomalous images."""
        return self.normal + self.around_defects

    def ranking(self) -> Ranking:
        """Pixels by value, for the metrics of ranking.py; empty bins are left out."""
        normal = self.defect_free()
        occupied = np.flatnonzero(normal + self.anomalous)
        return Ranking(VALUES[occupied], normal[occupied], self.anomalous[occupied])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays to send between processes: `bins` uint16 [k], `tables` int64 [4, k], `counts` int64 [7].

        Only the k occupied bins are sent.
        """
        tables = np.stack([getattr(self, name) for name in _TABLES])
        occupied = np.flatnonzero(tables.any(axis=0)).astype(np.uint16)
        counts = np.array([getattr(self, name) for name in _COUNTS], dtype=np.int64)
        return {"bins": occupied, "tables": tables[:, occupied], "counts": counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "PixelTables":
        """The inverse of to_arrays(). Raises ValueError for other arrays."""
        occupied, packed, counts = (arrays.get(name, np.zeros(0)) for name in ("bins", "tables", "counts"))
        if packed.shape != (len(_TABLES), len(occupied)) or counts.shape != (len(_COUNTS),):
            raise ValueError(
                f"arrays of shapes {[(name, array.shape) for name, array in arrays.items()]} are no pixel tables, so "
                "images would be lost from the metrics. Give what to_arrays() gave."
            )
        tables = np.zeros((len(_TABLES), BINS), dtype=np.int64)
        tables[:, occupied] = packed
        return cls(*tables, *counts.tolist())


def _common_size(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The one size of all maps: a mean over images is then a mean over their pixels."""
    if one != other and (0, 0) not in (one, other):
        raise ValueError(
            f"maps of {one[0]}x{one[1]} and of {other[0]}x{other[1]} pixels do not add up: larger ones would weigh "
            "more. Evaluate them apart, or score all images with one model version."
        )
    return max(one, other)


def _zeros() -> NDArray[np.int64]:
    return np.zeros(BINS, dtype=np.int64)


@dataclass
class _Counter:
    """Tables under construction, by bits instead of bins except for the weights."""

    normal: NDArray[np.int64] = field(default_factory=_zeros)
    masked: NDArray[np.int64] = field(default_factory=_zeros)
    """all pixels of anomalous images with a mask"""
    anomalous: NDArray[np.int64] = field(default_factory=_zeros)
    region_weights: NDArray[np.int64] = field(default_factory=_zeros)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    size: tuple[int, int] = (0, 0)

    def add(self, truth: PixelTruth, counted: NDArray[np.bool_] | None) -> None:
        match truth:
            case NormalMap():
                self._fit(truth.values)
                _count(self.normal, _only(counted, truth.values))
                self.counts["normal_images"] += 1
            case DefectiveMap():
                self._fit(truth.values)
                self._add_defective(truth, counted)
            case UncountedMap():
                self.counts[f"{truth.reason}_images"] += 1

    def tables(self) -> PixelTables:
        anomalous = in_order(self.anomalous)
        return PixelTables(
            normal=in_order(self.normal),
            around_defects=in_order(self.masked) - anomalous,
            anomalous=anomalous,
            region_weights=self.region_weights,
            **{**self.counts, "height": self.size[0], "width": self.size[1]},
        )

    def _add_defective(self, truth: DefectiveMap, counted: NDArray[np.bool_] | None) -> None:
        _count(self.masked, _only(counted, truth.values))
        is_defect = truth.defects if counted is None else truth.defects & counted
        defects = truth.values[is_defect]
        regions, count = region_of_pixels(is_defect)
        _count(self.anomalous, defects)
        add_region_weights(self.region_weights, bins(defects), regions)
        self.counts["regions"] += count
        self.counts["anomalous_images"] += 1

    def _fit(self, values: NDArray[np.float16]) -> None:
        height, width = values.shape
        self.size = _common_size(self.size, (height, width))


def _only(counted: NDArray[np.bool_] | None, values: NDArray[np.float16]) -> NDArray[np.float16]:
    """The counted values of a map [H, W]."""
    if counted is None:
        return values
    if counted.shape != values.shape or counted.dtype != np.bool_:
        raise ValueError(
            f"counted pixels of shape {counted.shape} and dtype {counted.dtype} do not fit a map of {values.shape}, "
            "so ignored ones would count. Give bool of the map's shape, from ImageView.counted()."
        )
    return values[counted]


def _count(table: NDArray[np.int64], values: NDArray[np.float16]) -> None:
    """Count values by bits. Scores are seldom above 8 or far below 0, so the counts end long before the table
    does."""
    for piece in pieces(bits(values)):  # NumPy counts 8-byte copies of the values
        counts = np.bincount(piece)
        table[: len(counts)] += counts
