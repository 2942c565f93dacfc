"""Score pictures larger than a detector's images, in overlapping tiles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector
from rd_core.engines.engine import Engine
from rd_core.maps.joining import JoinedTiles
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.tiling import Pixel, Place, Tiling


class Tiled:
    """An engine for pictures of a tiling's size; it needs the memory of their maps and of a micro-batch of tiles."""

    def __init__(self, engine: Engine, tiling: Tiling, detector: Detector) -> None:
        """engine: of `detector`, whose images have the tiles' size."""
        self._engine, self._tiling = engine, tiling
        self._micro_batch = detector.settings.micro_batch
        self._maximum_is_score = detector.score_is_map_maximum

    def score(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        """Score images uint8 (B, H, W, 3) of the tiling's size: see `Detector.score` and `JoinedTiles`.

        A micro-batch holds tiles of any images, which do not affect each other. Tiles without a pixel that counts are
        left out: their map is 0.
        """
        tiling, count = self._tiling, len(images)
        tiles = [
            (number, place)
            for number in range(count)
            for place in tiling.counted_places(None if counted is None else counted[number])
        ]
        scores, distances = np.zeros((2, count), np.float32)
        for start in range(0, max(len(tiles), 1), self._micro_batch):
            some = tiles[start : start + self._micro_batch]
            found = self._engine.score(self._cut(images, some), None if counted is None else self._cut(counted, some))
            if not start:  # the first maps tell their stride
                stride = tiling.tile // found.maps.shape[1]
                maps = np.zeros((count, tiling.height // stride, tiling.width // stride), np.float32)
                joined = [JoinedTiles(tiling, values, maximum_is_score=self._maximum_is_score) for values in maps]
            for (number, place), *of_tile in zip(some, *found, strict=True):
                joined[number].add(place, *of_tile)
        for number, picture in enumerate(joined):
            _, scores[number : number + 1], distances[number : number + 1] = picture.result()
        return AnomalyMaps(maps, scores, distances)

    def _cut(self, pictures: NDArray[Pixel], tiles: Sequence[tuple[int, Place]]) -> NDArray[Pixel]:
        """(tiles, side, side, ...) from (B, H, W, ...) and each tile's picture and place."""
        side = self._tiling.tile
        cut = np.empty((len(tiles), side, side, *pictures.shape[3:]), pictures.dtype)
        for at, (number, place) in enumerate(tiles):
            cut[at] = self._tiling.cut(pictures[number], place)
        return cut


def seeing(view: ImageView, engine: Engine, detector: Detector) -> Engine:
    """An engine for images of this view: `engine`, which is of `detector`, itself or in tiles."""
    return engine if (tiling := Tiling.of(view)) is None else Tiled(engine, tiling, detector)
