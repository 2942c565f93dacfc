"""Which views a category could have, by its images and its labelled defects; nothing is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ViewImpossible
from rd_core.pictures.image_view import ImageView, Size
from rd_core.pictures.possible_views import (
    LEAST_SIDE,
    Learning,
    PossibleView,
    area_of_defect,
    cheapest_that_shows,
    possible_views,
)
from rd_core.pictures.read_ahead import read_ahead
from storage.errors import KeyNotFound, UnreadableImage
from storage.filesystem import Store
from storage.images import decode_mask
from storage.labels import labels
from tasks.training.choose_size import sizes_seen
from tasks.worker.preprocessing import ImageFormat

MOST_MASKS = 200
"""labelled defects that are looked at"""
MOST_PICTURES = 8
"""normals that are decoded"""
MIDDLE = 1024
"""pixels a side, at most, of their middles, which show what resizing takes"""
SMALL = 0.1
"""quantile of the defects' areas that stands for small ones"""


@dataclass(frozen=True)
class SuggestedView:
    """A category's possible views, and the one that its images and labels speak for."""

    category: str
    seen: Size
    """median (height, width) of the images, within the crop"""
    views: tuple[PossibleView, ...]
    """by cost; the first is what a training chooses itself"""
    lost: tuple[float, ...]
    """grey levels that each view takes from the normals, median"""
    small_defect: float | None
    """share of the image that small defects cover; None without masks"""
    defects: int
    """masks looked at"""

    @property
    def suggested(self) -> PossibleView:
        """The cheapest that shows small defects; without masks the first."""
        return self.views[0] if self.small_defect is None else cheapest_that_shows(self.views, self.small_defect)

    @property
    def too_dear(self) -> PossibleView | None:
        """The first view that shows small defects, where the suggested one does not."""
        small = self.small_defect
        if small is None or self.suggested.side_of(small) >= LEAST_SIDE:
            return None
        return next((view for view in self.views if view.side_of(small) >= LEAST_SIDE), None)


def suggest_view(
    store: Store, images: Store, category: str, image_format: ImageFormat, method: DetectorSettings
) -> SuggestedView | None:
    """None if no labelled normal can be read.

    image_format: its view's crop and the decoding count. method: the settings to train by.
    """
    keys = labels.normal_image_keys(store, category)
    sizes = sizes_seen(images, keys, image_format.view)
    if not sizes:
        return None
    learning = Learning(len(keys), method.looked_at, method.remembers)
    views = possible_views(sizes, learning, tiles=not method.knows_places)
    some = keys[:: max(1, -(-len(keys) // MOST_PICTURES))]
    middles = [found for key in some if (found := _middle(images, image_format, key)) is not None]
    lost = [float(np.median([view.lost(*middle) for middle in middles])) if middles else 0.0 for view in views]
    areas = _defects(store, category, image_format.view)
    small = float(np.quantile(areas, SMALL)) if areas else None
    height, width = (round(float(side)) for side in np.median(sizes, axis=0))
    return SuggestedView(category, (height, width), tuple(views), tuple(lost), small, len(areas))


def _middle(images: Store, image_format: ImageFormat, key: str) -> tuple[NDArray[np.uint8], Size] | None:
    """Of what the view covers, and (height, width) of that."""
    try:
        picture = image_format.decode(images.read(key))
        top, left, height, width = image_format.view.covered(picture.shape[:2])
    except (KeyNotFound, UnreadableImage, ViewImpossible):
        return None
    top, left = (start + max(0, side - MIDDLE) // 2 for start, side in ((top, height), (left, width)))
    middle = picture[top : top + min(height, MIDDLE), left : left + min(width, MIDDLE)]
    return middle.copy(), (height, width)


def _defects(store: Store, category: str, view: ImageView) -> list[float]:
    """Share of the image that the largest defect of each mask covers."""
    rows = labels.read_labels(store, category).to_pylist()
    masks: Sequence[str] = [row["mask_key"] for row in rows if row["label"] == "anomalous" and row["mask_key"]]
    some = masks[:: max(1, -(-len(masks) // MOST_MASKS))]
    return [area for area in read_ahead(partial(_area, store, view), some) if area]


def _area(store: Store, view: ImageView, key: str) -> float:
    try:
        mask = decode_mask(store.read(key))
        top, left, height, width = view.covered((mask.shape[0], mask.shape[1]))
    except (KeyNotFound, UnreadableImage, ViewImpossible):
        return 0.0
    return area_of_defect(mask[top : top + height, left : left + width])
