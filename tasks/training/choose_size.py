"""The image size of a model whose settings leave it to the images."""

from collections.abc import Sequence
from functools import partial

from rd_core.errors import ViewImpossible
from rd_core.pictures.fitting_size import FittingSize
from rd_core.pictures.image_view import ImageView, Size
from rd_core.pictures.read_ahead import read_ahead
from reports.number_format import times
from storage.errors import KeyNotFound
from storage.filesystem import Store
from storage.models.card import ModelCard
from storage.pictures.header import size_in_header

MOST_HEADERS = 500
"""images whose size is looked at, evenly spread"""
MOST_SHRINKING = 3.0
"""of images to the pixels that a model sees, a side, before people are told what it loses; images of up to a
megapixel have 2"""


def in_a_line(size: FittingSize, *, tiled: bool) -> str:
    """The choice, its reason, its cost and how to change it, for people. tiled: their cost is another line."""
    multiple = "" if size.cost == 1 else f"{times(size.cost)} times "
    cost = "in tiles" if tiled else f"at {multiple}the cost of 256 x 256"
    lost = (
        f"One of these pixels covers {size.shrinking:.1f} x {size.shrinking:.1f} of an image, so smaller defects "
        "are lost: rd-inspect train --suggest-view says which tiles would keep them. "
        if size.shrinking > MOST_SHRINKING
        else ""
    )
    return (
        f"it sees images at {size.height} x {size.width} pixels, height by width, {cost}: {size.why}. {lost}"
        "Another size: image_size = [height, width] in categories.toml"
    )


def size_of(champion: ModelCard, view: ImageView) -> FittingSize | None:
    """The champion's size, with which its candidates are compared; None if `view` crops or has tiles otherwise."""
    kept = ImageView.from_dict(champion.preprocessing.view)
    if (kept.crop, kept.tile) != (view.crop, view.tile):
        return None
    return FittingSize(kept.height, kept.width, f"as the champion {champion.version} does")


def sizes_seen(images: Store, keys: Sequence[str], view: ImageView) -> list[Size]:
    """(height, width), within the view's crop, of at most MOST_HEADERS of the images, from their headers; of broken
    files none."""
    some = keys[:: max(1, -(-len(keys) // MOST_HEADERS))]
    return [size for size in read_ahead(partial(_size_seen, images, view), some) if size is not None]


def _size_seen(images: Store, view: ImageView, key: str) -> Size | None:
    try:
        with images.open(key) as file:
            size = size_in_header(file)
        return view.covered(size)[2:] if size else None
    except (KeyNotFound, ViewImpossible):
        return None
