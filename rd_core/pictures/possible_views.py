"""The views that images could have: what of them each keeps, and what it costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rd_core.pictures.fitting_size import LEAST_PIXELS, fitting_size, nearest_sides
from rd_core.pictures.image_view import Size
from rd_core.pictures.preprocessing import resize
from rd_core.pictures.tiling import GRID, Tiling

SHARES = (1 / 16, 1 / 4, 1)
"""of the images' pixels"""
TILE, OVERLAP = 256, 64
"""pixels"""
LEAST_SIDE = 8
"""pixels of a view: two cells of the finest features, which a defect should cover on each side"""


@dataclass(frozen=True)
class PossibleView:
    """A view, and its cost as multiples of that of 256 x 256 pixels."""

    height: int
    width: int
    tile: int | None
    training: float
    scoring: float

    @classmethod
    def whole(cls, height: int, width: int) -> "PossibleView":
        """One that the networks see at once."""
        cost = height * width / LEAST_PIXELS
        return cls(height, width, None, cost, cost)

    @classmethod
    def tiled(cls, height: int, width: int) -> "PossibleView":
        """One in tiles."""
        cost = Tiling(height, width, TILE, OVERLAP).cost
        return cls(height, width, TILE, TILE**2 / LEAST_PIXELS, cost * height * width / LEAST_PIXELS)

    def side_of(self, area: float) -> float:
        """Pixels a side, in this view, of a defect that covers this share of an image."""
        return math.sqrt(area * self.height * self.width)

    def lost(self, part: NDArray[np.uint8], size: Size) -> float:
        """Grey levels (root mean square, of 255) that resizing takes from a part uint8 (h, w, 3) of an image of
        `size`."""
        height, width = part.shape[:2]
        rows, columns = height * self.height / size[0], width * self.width / size[1]
        back = resize(resize(part, max(1, round(rows)), max(1, round(columns))), height, width)
        return float(np.sqrt(np.square(part.astype(np.float32) - back).mean()))


def possible_views(sizes: Sequence[Size], *, tiles: bool) -> list[PossibleView]:
    """The view that images of these (height, width) get where none is set, then larger ones by their cost of scoring.

    tiles: whether the method can be tiled.
    """
    fitting = fitting_size(sizes)
    median = np.median(np.asarray(sizes, np.float64), axis=0)
    own = [max(GRID, round(float(side) / GRID) * GRID) for side in median]
    views = {PossibleView.whole(fitting.height, fitting.width)}
    for share in SHARES:
        whole = PossibleView.whole(*nearest_sides(share * own[0] * own[1], own[1] / own[0]))
        views.add(whole)
        height, width = (whole.height, whole.width) if share < 1 else own
        if tiles and min(height, width) >= TILE and height * width >= 4 * TILE**2:
            views.add(PossibleView.tiled(height, width))
    return sorted(
        (view for view in views if view.height * view.width >= fitting.height * fitting.width),
        key=lambda view: (view.scoring, view.training),
    )


def area_of_defect(mask: NDArray[np.bool_]) -> float:
    """Share of the image (H, W) that the largest connected defect of its mask covers; 0 without one."""
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    return float(np.bincount(regions.ravel())[1:].max()) / mask.size if count else 0.0


def cheapest_that_shows(views: Sequence[PossibleView], area: float) -> PossibleView:
    """The first view if a defect of this area has LEAST_SIDE pixels a side in it, else the one that takes least time
    of those in which it has, else of the finest."""
    finest = max(view.side_of(area) for view in views)
    show = [view for view in views if view.side_of(area) >= min(LEAST_SIDE, finest)]
    return views[0] if views[0] in show else min(show, key=lambda view: view.training + view.scoring)
