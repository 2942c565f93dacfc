"""Join what is found in a picture's overlapping tiles.

Where tiles overlap, the map is the mean of theirs, with weights that fall towards each tile's inner edges, where a
network sees padding instead of the picture. Weights are products of a row's and a column's and add up to 1, so a
constant stays one.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.tiling import Place, Tiling

BLIND = 0.25
"""share of the overlap, at a tile's inner edge, that is its neighbour's alone"""


class JoinedTiles:
    """The map, score and feature distance of one picture, while its tiles come one by one.

    The score is the map's maximum, or the highest of the tiles' where a method's score is not its map's maximum. The
    feature distance is the mean of the tiles'.
    """

    def __init__(self, tiling: Tiling, values: NDArray[np.float32], *, maximum_is_score: bool) -> None:
        """values: zeros (height / stride, width / stride), for the map."""
        self._stride = tiling.height // len(values)
        self._rows, self._columns = (
            dict(zip(starts, _weights(starts, tiling.tile, tiling.overlap, self._stride), strict=True))
            for starts in (tiling.tops, tiling.lefts)
        )
        self._values, self._maximum_is_score = values, maximum_is_score
        self._scores: list[float] = []
        self._distances: list[float] = []

    def add(self, place: Place, found: NDArray[np.float32], score: float, feature_distance: float) -> None:
        """A tile's map (tile / stride, tile / stride), score and feature distance."""
        top, left = place.top // self._stride, place.left // self._stride
        weighed = found * self._rows[place.top][:, None] * self._columns[place.left]
        self._values[top : top + len(found), left : left + len(found)] += weighed
        self._scores.append(score)
        self._distances.append(feature_distance)

    def result(self) -> tuple[float, float]:
        """Score and feature distance of the tiles so far; 0 without any."""
        score = float(self._values.max()) if self._maximum_is_score else max(self._scores, default=0.0)
        return score, sum(self._distances) / max(len(self._distances), 1)


@lru_cache(maxsize=64)
def _weights(starts: tuple[int, ...], tile: int, overlap: int, stride: int) -> NDArray[np.float32]:
    """Weights (tiles, tile / stride) of the tiles that start at these pixels of an axis."""
    centres = (np.arange(tile // stride) + 0.5) * stride
    from_edge = np.full((len(starts), len(centres)), np.inf)  # pixels from the nearest inner edge
    from_edge[1:] = centres
    from_edge[:-1] = np.minimum(from_edge[:-1], tile - centres)
    raw = np.clip(from_edge - BLIND * overlap, 1e-9, tile)
    total = np.zeros((starts[-1] + tile) // stride)
    places = [slice(start // stride, start // stride + len(centres)) for start in starts]
    for place, own in zip(places, raw, strict=True):
        total[place] += own
    weights: NDArray[np.float32] = np.stack([own / total[place] for place, own in zip(places, raw, strict=True)])
    return weights.astype(np.float32)
