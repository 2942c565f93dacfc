"""Join what is found in a picture's overlapping tiles.

Where tiles overlap, the map is the mean of theirs, with weights that fall towards each tile's inner edges, where a
network sees padding instead of the picture. Weights are products of a row's and a column's and add up to 1, so a
constant stays one.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.tiling import Place, Tiling

BLIND = 0.25
"""share of the overlap, at a tile's inner edge, that is its neighbour's alone"""


class JoinedTiles:
    """The map, score and feature distance of one picture, while its tiles come one by one.

    The score is the map's maximum. Where a method's score is not its map's maximum, it is that of the tiles that show
    it, averaged by their weights there. The feature distance is the mean of all tiles'.
    """

    def __init__(self, tiling: Tiling, values: NDArray[np.float32], *, maximum_is_score: bool) -> None:
        """values: zeros (height / stride, width / stride), for the map."""
        self._stride = tiling.height // len(values)
        self._rows, self._columns = (
            dict(zip(starts, _weights(starts, tiling.tile, self._stride), strict=True))
            for starts in (tiling.tops, tiling.lefts)
        )
        self._values, self._maximum_is_score = values, maximum_is_score
        self._found: list[tuple[Place, np.float32, np.float32]] = []
        """place, score and feature distance of each tile"""

    @property
    def tiles(self) -> int:
        """How many have come."""
        return len(self._found)

    def add(self, place: Place, found: NDArray[np.float32], score: np.float32, distance: np.float32) -> None:
        """A tile's map (tile / stride, tile / stride), score and feature distance."""
        top, left = place.top // self._stride, place.left // self._stride
        weighed = found * self._rows[place.top][:, None] * self._columns[place.left]
        self._values[top : top + len(found), left : left + len(found)] += weighed
        self._found.append((place, score, distance))

    def result(self) -> AnomalyMaps:
        """Of one picture; without a tile all is 0."""
        score = self._values.max() if self._maximum_is_score else self._score_at_peak()
        distance = sum(float(distance) for *_, distance in self._found) / max(self.tiles, 1)
        return AnomalyMaps(self._values[None], np.array([score], np.float32), np.array([distance], np.float32))

    def _score_at_peak(self) -> float:
        row, column = np.unravel_index(self._values.argmax(), self._values.shape)
        total = 0.0
        for place, score, _ in self._found:
            down, right = row - place.top // self._stride, column - place.left // self._stride
            rows, columns = self._rows[place.top], self._columns[place.left]
            if 0 <= down < len(rows) and 0 <= right < len(columns):
                total += float(score * (rows[down] * columns[right]))
        return total


@lru_cache(maxsize=64)
def _weights(starts: tuple[int, ...], tile: int, stride: int) -> NDArray[np.float32]:
    """Weights (tiles, tile / stride) of the tiles that start at these pixels of an axis."""
    centres = (np.arange(tile // stride) + 0.5) * stride
    from_edge = np.full((len(starts), len(centres)), np.inf)  # pixels from the nearest inner edge
    from_edge[1:] = centres
    from_edge[:-1] = np.minimum(from_edge[:-1], tile - centres)
    shared = tile - max((after - before for before, after in pairwise(starts)), default=0)
    raw = np.clip(from_edge - BLIND * shared, 1e-9, tile)
    total = np.zeros((starts[-1] + tile) // stride)
    places = [slice(start // stride, start // stride + len(centres)) for start in starts]
    for place, own in zip(places, raw, strict=True):
        total[place] += own
    weights: NDArray[np.float32] = np.stack([own / total[place] for place, own in zip(places, raw, strict=True)])
    return weights.astype(np.float32)
