"""Ignored regions: from the store into the view of a model."""

from dataclasses import replace

from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView, Size
from reports.ignored_region import too_small_in_words
from storage.filesystem import Store
from storage.ignored_regions import read_region
from storage.models.card import ModelCard

_SIDE = 1000
"""pixels on which the share is measured"""


def ignored_now(store: Store, category: str) -> Ignore | None:
    """The category's region in force; None if nothing is ignored. Raises CorruptObject, Conflict."""
    return Ignore.of(read_region(store, category))


def ignored_by(card: ModelCard) -> Ignore | None:
    """The region that the model was trained or calibrated with."""
    return ImageView.from_dict(card.preprocessing.view).ignore


def ignored_share(ignore: Ignore | None) -> float:
    """Share of the image that is ignored, to about a thousandth."""
    return 0.0 if ignore is None else float(ignore.on((_SIDE, _SIDE)).mean())


def uncovered_share(before: Ignore | None, now: Ignore | None) -> float:
    """Share of the image that the first region ignores and the second does not, to about a thousandth."""
    if before is None:
        return 0.0
    uncovered = before.on((_SIDE, _SIDE))
    return float((uncovered if now is None else uncovered & ~now.on((_SIDE, _SIDE))).mean())


def ignoring(card: ModelCard, ignore: Ignore | None) -> ModelCard:
    """The card with that region in its view."""
    view = replace(ImageView.from_dict(card.preprocessing.view), ignore=ignore)
    return replace(card, preprocessing=replace(card.preprocessing, view=view.to_dict()))


def too_small(view: ImageView, size: Size) -> str | None:
    """Which ignored regions ignore no pixel of the view of an image of `size`, in words; None if all do."""
    if view.ignore is None:
        return None
    number = view.too_small(view.ignore, size)
    return too_small_in_words(number, len(view.ignore.regions), view.size) if number else None
