"""Two models' maps over labelled defects: each region's share in their AUPRO."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.maps.enlargement import enlarged
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_aupro import region_auproes
from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from tasks.reporting.labelled_pixels import Uncountable, counted_defect
from tasks.retraining.gate_set import GateImage
from tasks.worker.picture_reader import LoadedPicture

MOST_MAPS, FEWEST_MAPS = 400, 32
"""maps of masked defects that are kept"""
MOST_PIXELS = MOST_MAPS * 256**2
"""of these maps, beyond the fewest: 50 MiB a model as float16"""


@dataclass(frozen=True, eq=False)
class RegionPair:
    """The share of each of r regions in both models' AUPRO."""

    champion: NDArray[np.float64]
    """(r,)"""
    candidate: NDArray[np.float64]
    """(r,)"""
    parts: tuple[str, ...]
    """(r,) the region's part"""


class MaskedMaps:
    """Counts the pixels of both models' maps and keeps those of masked defects; nothing without a mask."""

    def __init__(self, store: Store, judging: Sequence[GateImage], view: ImageView | None) -> None:
        """view: what both models' maps show of an image, so that at its size their regions are the same; None if
        they differ, and nothing is counted."""
        masked = [image.key for image in judging if image.mask_key is not None] if view else []
        self._view = view
        self.problems: list[tuple[str, str]] = []
        """(key, why its mask cannot be counted)"""
        self._store = store
        self._wanted = set(_spread(masked, math.prod(view.size))) if view else set()
        self._tables = [PixelTables.empty(), PixelTables.empty()]
        self._maps: tuple[list[NDArray[np.float16]], list[NDArray[np.float16]]] = ([], [])
        self._masks: list[NDArray[np.bool_]] = []
        self._parts: list[str] = []

    def add(
        self,
        images: Sequence[GateImage],
        pictures: Sequence[LoadedPicture],
        champion: AnomalyMaps,
        candidate: AnomalyMaps,
    ) -> None:
        """Add both models' maps of images; `pictures`: them, as one of the models saw them."""
        if not self._wanted or self._view is None:
            return
        view, grid = self._view, self._view.size
        placed = [(one.size or grid, one.offset) for one in pictures]
        masks = [self._mask(image, *place, view, grid) for image, place in zip(images, placed, strict=True)]
        counted = [view.counted(size, grid, offset) for size, offset in placed]
        anomalous = [image.is_anomalous for image in images]
        kept = [place for place, image in enumerate(images) if masks[place] is not None and image.key in self._wanted]
        for number, scored in enumerate((champion, candidate)):
            maps = enlarged(scored.as_float16(), grid)
            self._tables[number] += PixelTables.of(maps, masks, anomalous, counted)
            self._maps[number].extend(maps[place] for place in kept)
        self._masks += [mask for place in kept if (mask := masks[place]) is not None]
        self._parts += [images[place].part for place in kept]

    def regions(self) -> RegionPair | None:
        """None without a region or a defect-free pixel."""
        if not self._masks:
            return None
        anomalous = [True] * len(self._masks)
        pairs = zip(self._tables, self._maps, strict=True)
        (champion, place), (candidate, _) = (region_auproes(t, maps, self._masks, anomalous) for t, maps in pairs)
        if np.isnan(champion).any() or np.isnan(candidate).any():
            return None
        return RegionPair(champion, candidate, tuple(self._parts[i] for i in place.tolist()))

    def _mask(
        self,
        image: GateImage,
        size: tuple[int, int],
        offset: Offset | None,
        view: ImageView,
        grid: tuple[int, int],
    ) -> NDArray[np.bool_] | None:
        """bool `grid`; None without a usable mask."""
        if image.mask_key is None:
            return None
        try:
            return counted_defect(self._store, image.mask_key, size, view, grid, "anomalous", offset)
        except Uncountable as e:
            self.problems.append((image.key, str(e)))
            return None


def _spread(keys: Sequence[str], pixels: int) -> Sequence[str]:
    """As many, evenly, as maps of so many pixels are kept of."""
    most = max(FEWEST_MAPS, min(MOST_MAPS, MOST_PIXELS // pixels))
    return keys[:: max(1, -(-len(keys) // most))]
