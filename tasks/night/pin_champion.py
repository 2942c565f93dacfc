"""The model of a category for a run, looked up once at its start."""

from dataclasses import dataclass

from prefect import task
from prefect.cache_policies import NO_CACHE

from rd_core.pictures.alignment import require_alignment
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.tiling import pixels_seen
from storage.errors import KeyNotFound
from storage.filesystem import open_store
from storage.models import models
from storage.models.card import Maps
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.preprocessing import check_preprocessing


@dataclass(frozen=True)
class PinnedModel:
    """The version that a run keeps, even if another is promoted meanwhile."""

    category: str
    version: str
    preprocessing: str
    pixels: int
    """that its networks see of an image, see `rd_core.pictures.tiling.pixels_seen`"""
    maps: Maps
    map_threshold: float
    threshold: float
    alpha: float
    threshold_is_extrapolated: bool
    library: str
    """the engine for CPUs in its card"""


@task(name="pin-champion", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def pin_champion(store_uri: str, category: str) -> PinnedModel | None:
    """The champion of `category`, or None. Raises OtherPreprocessing if this release cannot use it,
    AlignmentUnavailable if it aligns images and this machine cannot."""
    store = open_store(store_uri, read_only=True)
    champion = models.read_champion(store, category)
    return None if champion is None else _pinned(store_uri, category, champion.version)


@task(name="pin-version", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def pin_version(store_uri: str, category: str, version: str) -> PinnedModel:
    """This version of `category`, in force or not. Raises KeyNotFound without a card."""
    return _pinned(store_uri, category, version)


def _pinned(store_uri: str, category: str, version: str) -> PinnedModel:
    try:
        card = models.read_card(open_store(store_uri, read_only=True), category, version)
    except KeyNotFound as e:
        raise KeyNotFound(
            f"{category} is to be scored by {version}, but its model card is gone from {store_uri}. Nothing of this "
            "category was scored. Restore the card, or train and promote anew: "
            f"rd-inspect train --category {category} --promote"
        ) from e
    check_preprocessing(card)
    view = ImageView.from_dict(card.preprocessing.view)
    if view.align is not None:
        require_alignment()
    return PinnedModel(
        category=category,
        version=version,
        preprocessing=card.preprocessing.version,
        pixels=pixels_seen(view),
        maps=card.maps,
        map_threshold=card.map_threshold,
        threshold=card.threshold.value,
        alpha=card.threshold.alpha,
        threshold_is_extrapolated=card.threshold.extrapolated,
        library=card.engine.library,
    )
