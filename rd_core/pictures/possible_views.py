"""The views that images could have: what of them each keeps, and what it costs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rd_core.pictures.fitting_size import LEAST_PIXELS, fitting_size, nearest_sides
from rd_core.pictures.image_view import ImageView, Size
from rd_core.pictures.preprocessing import resize
from rd_core.pictures.tile_images import crops_of_each
from rd_core.pictures.tiling import GRID, Tiling, pixels_seen

SHARES = (1 / 16, 1 / 4, 1)
"""of the images' pixels"""
TILE, OVERLAP = 256, 64
"""pixels"""
MOST_TIMES = 32
"""most time of scoring of a suggested view, as a multiple of that of the default view"""
MOST_WHOLE = 2**20
"""pixels of a view that is not in tiles, where it could be: those of a micro-batch, which bounds memory"""
LEAST_SIDE = 8
"""pixels of a view: two cells of the finest features, which a defect should cover on each side"""


@dataclass(frozen=True)
class Learning:
    """A method's training, as far as its time depends on the view."""

    normals: int
    """images that it learns from and judges"""
    looked_at: Callable[[int], int]
    """see `rd_core.detectors.settings.DetectorSettings.looked_at`"""
    remembers: bool
    """see `rd_core.detectors.settings.DetectorSettings.remembers`"""

    def cost(self, view: ImageView) -> float:
        """Time on images of this view, as a multiple of that on images of 256 x 256 pixels."""
        tiling, crops, side = Tiling.of(view), self.normals, view.height * view.width
        if tiling is not None:
            crops *= crops_of_each(tiling, self.normals, remembered=self.remembers)
            side = tiling.tile**2
        judged = self.normals * pixels_seen(view)
        return (self.looked_at(crops) * side + judged) / (
            (self.looked_at(self.normals) + self.normals) * LEAST_PIXELS
        )


@dataclass(frozen=True)
class PossibleView:
    """A view, and its cost as multiples of that of 256 x 256 pixels."""

    height: int
    width: int
    tile: int | None
    training: float
    scoring: float

    @classmethod
    def of(cls, height: int, width: int, learning: Learning, *, tiled: bool) -> "PossibleView":
        """One that the networks see at once, or in tiles."""
        view = ImageView(height, width, tile=TILE if tiled else None, overlap=OVERLAP if tiled else 0)
        return cls(height, width, view.tile, learning.cost(view), pixels_seen(view) / LEAST_PIXELS)

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


def possible_views(sizes: Sequence[Size], learning: Learning, *, tiles: bool) -> list[PossibleView]:
    """The view that images of these (height, width) get where none is set, then larger ones by their cost of scoring.

    tiles: whether the method can be tiled.
    """
    fitting = fitting_size(sizes)
    median = np.median(np.asarray(sizes, np.float64), axis=0)
    own = [max(GRID, round(float(side) / GRID) * GRID) for side in median]
    views = {PossibleView.of(fitting.height, fitting.width, learning, tiled=False)}
    for share in SHARES:
        whole = nearest_sides(share * own[0] * own[1], own[1] / own[0])
        if not tiles or whole[0] * whole[1] <= MOST_WHOLE:
            views.add(PossibleView.of(*whole, learning, tiled=False))
        height, width = whole if share < 1 else own
        if tiles and min(height, width) >= TILE and height * width >= 4 * TILE**2:
            views.add(PossibleView.of(height, width, learning, tiled=True))
    return sorted(
        (view for view in views if view.height * view.width >= fitting.height * fitting.width),
        key=lambda view: (view.scoring, view.training),
    )


def area_of_defect(mask: NDArray[np.bool_]) -> float:
    """Share of the image (H, W) that the largest connected defect of its mask covers; 0 without one."""
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    return float(np.bincount(regions.ravel())[1:].max()) / mask.size if count else 0.0


def cheapest_that_shows(views: Sequence[PossibleView], area: float) -> PossibleView:
    """Of the views that take at most MOST_TIMES the first one's time to score: the first if a defect of this area has
    LEAST_SIDE pixels a side in it, else the one that takes least time of those in which it has, else of the
    finest."""
    affordable = [view for view in views if view.scoring <= MOST_TIMES * views[0].scoring]
    finest = max(view.side_of(area) for view in affordable)
    show = [view for view in affordable if view.side_of(area) >= min(LEAST_SIDE, finest)]
    return views[0] if views[0] in show else min(show, key=lambda view: view.training + view.scoring)
