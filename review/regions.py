"""Drawing ignored regions: a category's region and its history, normal images to draw over, and saving."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rd_core.errors import ViewImpossible
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from reports.ignored_region import next_steps, too_small_in_words, version_in_words
from reports.overlay import IGNORED, shrunk
from reports.plain_text import shown
from review.pictures import LONGEST_SIDE, webp
from storage import ignored_regions
from storage.errors import Conflict, KeyNotFound, StorageError, UnreadableImage
from storage.ignored_regions import IgnoredRegion, UnusableRegion
from storage.images import decode, decode_mask, room_for
from storage.labels import labels
from storage.layout import category_images_prefix
from storage.models import models
from storage.stores.store import Store

MOST_IMAGES, MOST_IN_MEAN = 40, 12
"""normal images that are offered to draw over; images of the mean"""
_OPACITY = 110
"""of ignored pixels, of 255"""


class Overtaken(Exception):
    """Another person saved a region of the category since this one was begun; nothing was saved."""

    def __init__(self, why: str, state: dict[str, Any]) -> None:
        super().__init__(why)
        self.state = state
        """as `Regions.state`, with what is in force"""


class Regions:
    """The ignored regions of one store's categories. Thread-safe; other servers may write to the same store."""

    def __init__(
        self,
        store: Store,
        images: Store,
        only: Sequence[str] | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._images, self._only, self._clock = store, images, only, clock

    def categories(self) -> list[str]:
        """Those that may have normal images, sorted: a region can be drawn before the first training."""
        known = {*labels.list_label_categories(self._store), *models.list_model_categories(self._store)}
        return sorted(self._only or known)

    def state(self, category: str) -> dict[str, Any]:
        """{"region": what is in force or None, "versions": newest first, "images": keys of normal images to draw
        over, "champion": what the model in force ignores, in words, "crop": see `crop_in_force`}. Raises
        KeyNotFound."""
        self.refuse_unknown(category)
        history = ignored_regions.read_history(self._store, category)
        champion = self._champion_in_words(category, ignored_regions.in_force(history))
        crop = crop_in_force(self._store, self._images, category)
        return {**_known(history), "images": self._normals(category), "champion": champion, "crop": crop}

    def save(self, sent: dict[str, Any], drawn_by: str) -> dict[str, Any]:
        """Put {"category", "polygons", "expected": digest of the region shown or None, "key": image drawn on} in
        force; the new `state`, and "next": what follows from it, in words.

        Raises Overtaken, storage.ignored_regions.UnusableRegion, KeyNotFound.
        """
        key, expected = sent.get("key"), sent.get("expected")
        category = str(sent.get("category"))
        self.refuse_unknown(category)
        if expected is not None and not isinstance(expected, str):
            raise UnusableRegion("expected is no digest of a region, so nothing was saved. Reload the page.")
        if not isinstance(key, str) or not key.startswith(category_images_prefix(category)):
            key = None
        polygons = ignored_regions.from_json(sent)
        region = ignored_regions.drawn(polygons, by=drawn_by, at=self._clock(), on=key)
        try:
            ignored_regions.save_region(self._store, category, region, expected=expected)
        except Conflict as e:
            raise Overtaken(str(e), self.state(category)) from e
        small = too_small(self._store, self._images, category, region)
        in_force = models.has_champion(self._store, category)
        steps = next_steps(category, in_force=in_force, ignores=not region.is_empty)
        return {**self.state(category), "next": [*([small] if small else []), *steps]}

    def picture(self, category: str, key: str) -> bytes:
        """A normal image of the category as WebP. Raises KeyNotFound, UnreadableImage."""
        self.refuse_unknown(category)
        if not key.startswith(category_images_prefix(category)):
            raise KeyNotFound(f"{key!r} is no image of {category!r}.")
        return webp(self._decoded(category, key))

    def mean(self, category: str) -> bytes:
        """The mean of a few normal images of one size as WebP. Raises KeyNotFound without any."""
        self.refuse_unknown(category)
        keys = self._normals(category)
        chosen = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, MOST_IN_MEAN).astype(int))] if keys else []
        total: NDArray[np.float32] | None = None
        number = 0
        for key in chosen:
            try:
                pixels = self._decoded(category, key)
            except (StorageError, UnreadableImage):
                continue  # others remain
            if total is None:
                total = np.zeros(pixels.shape, np.float32)
            if pixels.shape == total.shape:
                total, number = total + pixels, number + 1
        if total is None:
            raise KeyNotFound(f"no normal image of {category!r} can be read.")
        return webp(np.rint(total / number).astype(np.uint8))

    def mask(self, category: str) -> bytes:
        """The mask in force as WebP, in colour where pixels are ignored. Raises KeyNotFound without one."""
        self.refuse_unknown(category)
        region = ignored_regions.read_region(self._store, category)
        if region is None or region.mask is None:
            raise KeyNotFound(f"no mask of {category!r} is in force.")
        mask = Image.fromarray(decode_mask(base64.b64decode(region.mask)))
        mask.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.NEAREST)
        return webp(np.asarray(mask)[..., None] * np.array([*IGNORED, _OPACITY], np.uint8))

    def refuse_unknown(self, category: str) -> None:
        """Raises KeyNotFound for a category that is not shown here."""
        if category not in (known := self.categories()):
            raise KeyNotFound(f"the category {category!r} is not reviewed here. There are: {', '.join(known)}.")

    def _normals(self, category: str) -> list[str]:
        """Evenly chosen normal images."""
        keys = ignored_regions.images_to_draw_on(self._store, category)
        return [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, MOST_IMAGES).astype(int))] if keys else []

    def _champion_in_words(self, category: str, region: IgnoredRegion | None) -> str:
        card = models.champion_card(self._store, category)
        if card is None:
            return "No model is in force yet."
        if ImageView.from_dict(card.preprocessing.view).ignore == Ignore.of(region):
            return f"The model in force, {card.version}, scores with this region."
        return f"The model in force, {card.version}, scores with another region than the one saved last."

    def _decoded(self, category: str, key: str) -> NDArray[np.uint8]:
        card = models.champion_card(self._store, category)
        data = self._images.read(key)
        with room_for(data):
            return shrunk(decode(data, **(card.preprocessing.decoding if card else {})), LONGEST_SIDE)


def too_small(store: Store, images: Store, category: str, region: IgnoredRegion | None) -> str | None:
    """Which regions ignore no pixel of what the model in force sees, in words; None if all do, if it crops them away,
    or if there is no model or no image."""
    if region is None or region.is_empty or (seen := _seen(store, images, category)) is None:
        return None
    (view, size), ignore = seen, Ignore(region.polygons, region.mask)
    try:
        number = view.too_small(ignore, size)
    except ViewImpossible:
        return None
    return too_small_in_words(number, len(ignore.regions), view.size) if number else None


def crop_in_force(store: Store, images: Store, category: str) -> list[float] | None:
    """[left, top, width, height] of the crop of the model in force, in shares of its images; None if it has none, or
    fits them not."""
    seen = _seen(store, images, category)
    if seen is None or seen[0].crop is None:
        return None
    view, (of_height, of_width) = seen
    try:
        top, left, height, width = view.covered((of_height, of_width))
    except ViewImpossible:
        return None
    return [left / of_width, top / of_height, width / of_width, height / of_height]


def _seen(store: Store, images: Store, category: str) -> tuple[ImageView, tuple[int, int]] | None:
    """The view of the model in force, and height and width of a normal image."""
    card = models.champion_card(store, category)
    size = None if card is None else ignored_regions.size_to_draw_on(store, images, category)
    return None if card is None or size is None else (ImageView.from_dict(card.preprocessing.view), size)


def _known(history: Sequence[IgnoredRegion]) -> dict[str, Any]:
    current = ignored_regions.in_force(history)
    return {
        "region": None if current is None else _version(current),
        "versions": [_version(version) for version in history],
    }


def _version(region: IgnoredRegion) -> dict[str, Any]:
    return {
        "digest": region.digest,
        "polygons": region.polygons,
        "mask": region.mask is not None,
        "words": shown(version_in_words(region.polygons, region.mask, region.drawn_by, region.drawn_at)),
    }
