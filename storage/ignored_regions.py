"""Ignored regions: the part of a category's images that counts in nothing, as a person drew it.

regions/<category>.json keeps every version, newest first. A mask that somebody put into the store by hand,
regions/<category>.png, is read in its place. A training freezes the region that it finds in its model's card, as an
`rd_core.pictures.ignored_regions.Ignore`, which says what pixels these are.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from storage import layout
from storage.errors import OF_ONE_OBJECT, AlreadyExists, Conflict, CorruptObject, KeyNotFound, UnreadableImage
from storage.images import decode_mask
from storage.labels import annotators, labels
from storage.models import models
from storage.pictures.headers import displayed_size
from storage.pictures.masks import mask_png
from storage.pictures.rasters import polygon_mask
from storage.stores import checked_json, json_records
from storage.stores.store import Store

MOST_IGNORED = 0.99
"""largest share of the image that can be ignored"""
MOST_POLYGONS, MOST_POINTS = 200, 1000
"""polygons of a region, points of a polygon"""
MOST_BYTES = 1 << 20
"""of a mask as a one-bit PNG, which every model card repeats"""
_DECIMALS = 6
"""of a share: a hundredth of a pixel in 10,000"""
_SIDE = 256
"""pixels a side, on which the share of polygons is measured"""
_FORMAT = 1

Polygon = tuple[tuple[float, float], ...]
"""points (x, y) in shares of the image's width and height"""


class UnusableRegion(Exception):
    """A region that would ignore nothing, everything or something else than was meant; nothing was saved."""


@dataclass(frozen=True)
class IgnoredRegion:
    """One version of a category's region. The pixels inside any polygon are ignored, or those that the mask marks."""

    polygons: tuple[Polygon, ...]
    """without any and without a mask, nothing is ignored"""
    mask: str | None
    """a PNG (base64) that is stretched over the image: not black where pixels are ignored; None with polygons"""
    drawn_by: str | None
    """None: nobody is known"""
    drawn_at: datetime
    """UTC"""
    drawn_on: str | None = None
    """key of the image that it was drawn on; None: it comes from a file"""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ignored."""
        return not self.polygons and self.mask is None

    @property
    def digest(self) -> str:
        """SHA-256 (hex, 16 characters) of what is ignored, whoever drew it and when."""
        return hashlib.sha256(json.dumps([self.polygons, self.mask]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _History:
    versions: tuple[IgnoredRegion, ...]
    """newest first"""
    schema_version: int = _FORMAT


def drawn(
    polygons: Sequence[Sequence[Sequence[float]]], *, by: str | None, at: datetime, on: str | None = None
) -> IgnoredRegion:
    """A region of polygons, or none to ignore nothing. Raises UnusableRegion with the wrong polygon."""
    if len(polygons) > MOST_POLYGONS:
        raise UnusableRegion(f"{len(polygons)} polygons are more than {MOST_POLYGONS}. Use a mask image instead.")
    kept = tuple(_polygon(points, number) for number, points in enumerate(polygons, 1))
    return _checked(IgnoredRegion(kept, None, annotators.as_kept(by), at, on))


def masked(data: bytes, *, by: str | None, at: datetime, size: tuple[int, int] | None = None) -> IgnoredRegion:
    """A region from a mask image's bytes: pixels that are not black are ignored.

    size: height and width of the category's images, whose aspect the mask must have. Raises UnusableRegion.
    """
    try:
        mask = decode_mask(data)
    except UnreadableImage as e:
        raise UnusableRegion(f"the mask cannot be read: {e}.") from e
    height, width = mask.shape
    if size is not None and abs(width - size[1] * height / size[0]) > 1:
        raise UnusableRegion(
            f"the mask has {width} x {height} pixels and the images {size[1]} x {size[0]}: another aspect, so it "
            "would be stretched over other pixels than were meant. Draw it over one of the images."
        )
    if not mask.any():
        raise UnusableRegion(
            "the mask is black, so nothing would be ignored. Make the pixels white that shall be ignored; to ignore "
            "nothing any more, clear the region."
        )
    png = mask_png(mask)
    if len(png) > MOST_BYTES:
        raise UnusableRegion(
            f"the mask needs {len(png):,} bytes, more than the {MOST_BYTES:,} that a model card can repeat: it has "
            "specks. Smooth it, or draw polygons."
        )
    return _checked(IgnoredRegion((), base64.b64encode(png).decode(), annotators.as_kept(by), at))


def read_region(store: Store, category: str) -> IgnoredRegion | None:
    """The region in force; None if nothing is ignored. Raises CorruptObject, Conflict for two files."""
    return in_force(read_history(store, category))


def in_force(history: Sequence[IgnoredRegion]) -> IgnoredRegion | None:
    """The region in force, of every version, newest first; None if nothing is ignored."""
    return history[0] if history and not history[0].is_empty else None


def read_history(store: Store, category: str) -> tuple[IgnoredRegion, ...]:
    """Every version, newest first. Raises as `read_region`."""
    versions, _ = _read(store, category)
    mask = _by_hand(store, category)
    if mask is None:
        return versions
    if versions:
        raise Conflict(
            f"{store.address(layout.region_key(category))} and {layout.region_key(category, 'png')} both say what is "
            "ignored, so neither is used. Move the mask out of the store; to use it: rd-inspect regions --category "
            f"{category} --set FILE.png"
        )
    return (mask,)


def save_region(store: Store, category: str, region: IgnoredRegion, *, expected: str | None) -> IgnoredRegion:
    """Put a region in force; earlier ones stay in the history. The same region again changes nothing.

    expected: digest of the region that this one replaces, None for none. Returns the region in force. Raises
    Conflict if another was saved meanwhile, or a mask lies in the store.
    """
    key = layout.region_key(category)
    versions, etag = _read(store, category)
    if _by_hand(store, category) is not None:
        raise Conflict(
            f"{store.address(layout.region_key(category, 'png'))} says what is ignored, so nothing was saved. Move "
            f"it out of the store. To keep it: rd-inspect regions --category {category} --set FILE.png"
        )
    now = in_force(versions)
    if region.digest == (now.digest if now else _EMPTY):
        return now or region
    if (now.digest if now else None) != expected:
        raise _overtaken(category, versions[0])
    data = checked_json.to_bytes(json_records.to_json(_History((region, *versions))))
    try:
        store.create(key, data) if etag is None else store.replace(key, data, etag)
    except (AlreadyExists, Conflict) as e:
        raise _overtaken(category, read_history(store, category)[0]) from e
    return region


def list_region_categories(store: Store) -> list[str]:
    """Categories with a region, also one that was cleared, sorted."""
    names = (info.key.removeprefix(f"{layout.REGIONS}/") for info in store.list(f"{layout.REGIONS}/"))
    plain = {name.removesuffix(".json").removesuffix(".png") for name in names if name.endswith((".json", ".png"))}
    return sorted(filter(layout.is_plain, plain))


def images_to_draw_on(store: Store, category: str) -> list[str]:
    """Keys of normal images: those labelled normal, else those that the champion was trained on."""
    keys = labels.normal_image_keys(store, category)
    card = None if keys else models.champion_card(store, category)
    return keys or list(card.images.train if card else ())


def size_to_draw_on(store: Store, images: Store, category: str) -> tuple[int, int] | None:
    """Height and width of the first normal image whose header can be read; None without one."""
    for key in images_to_draw_on(store, category):
        with suppress(UnreadableImage, *OF_ONE_OBJECT), images.open(key) as file:
            return displayed_size(file)
    return None


def from_json(content: Any) -> list[list[list[float]]]:
    """The polygons of a request or a file, {"polygons": [[[x, y], ...], ...]}. Raises UnusableRegion."""
    try:
        return [[[float(number) for number in point] for point in polygon] for polygon in content["polygons"]]
    except (TypeError, ValueError, KeyError) as e:
        raise UnusableRegion(
            "there is no list of polygons, each a list of points [x, y] in shares of the image, such as "
            '{"polygons": [[[0, 0], [0.2, 0], [0.2, 0.1]]]}.'
        ) from e


def _polygon(points: Sequence[Sequence[float]], number: int) -> Polygon:
    wrong = [point for point in points if len(point) != 2 or not all(0 <= share <= 1 for share in point)]
    if wrong:
        raise UnusableRegion(
            f"polygon {number} has the point {list(wrong[0])}, which is outside the image: x and y are shares of its "
            "width and height, from 0 to 1."
        )
    kept = tuple((round(float(x), _DECIMALS) + 0.0, round(float(y), _DECIMALS) + 0.0) for x, y in points)
    if len(set(kept)) < 3:
        raise UnusableRegion(f"polygon {number} has {len(set(kept))} different points, and an area needs three.")
    if len(kept) > MOST_POINTS:
        raise UnusableRegion(f"polygon {number} has {len(kept)} points, more than {MOST_POINTS}. Use a mask image.")
    corners = np.array(kept) - kept[0]
    if np.linalg.matrix_rank(corners, tol=10.0**-_DECIMALS) < 2:
        raise UnusableRegion(f"the points of polygon {number} lie on one line, so it has no area.")
    return kept


def _share(region: IgnoredRegion) -> float:
    """Share of the image that is ignored, to about a hundredth."""
    if region.mask is not None:
        return float(decode_mask(base64.b64decode(region.mask)).mean())
    ignored = np.zeros((_SIDE, _SIDE), np.bool_)
    for polygon in region.polygons:
        ignored |= polygon_mask(np.array(polygon, np.float64) * _SIDE, _SIDE, _SIDE)
    return float(ignored.mean())


def _checked(region: IgnoredRegion) -> IgnoredRegion:
    if (share := _share(region)) > MOST_IGNORED:
        raise UnusableRegion(
            f"{share:.1%} of the image would be ignored, and at most {MOST_IGNORED:.0%} can be: nothing would be "
            "left to inspect."
        )
    return region


def _read(store: Store, category: str) -> tuple[tuple[IgnoredRegion, ...], str | None]:
    """(versions, etag); the etag is None without a file."""
    key = layout.region_key(category)
    try:
        data, etag = store.read_with_etag(key)
    except KeyNotFound:
        return (), None
    content = checked_json.from_bytes(data, store.address(key), "an ignored region", known_format=_FORMAT)
    try:
        return json_records.from_json(_History, content).versions, etag
    except ValueError as e:
        raise CorruptObject(
            f"{store.address(key)} is no ignored region ({e}), so it is not known what of {category!r} counts. "
            "Restore it from a copy, or move it away and draw the region again: rd-inspect review"
        ) from e


def _by_hand(store: Store, category: str) -> IgnoredRegion | None:
    """The mask that somebody put into the store. Raises CorruptObject."""
    key = layout.region_key(category, "png")
    info = store.info(key)
    if info is None:
        return None
    try:
        return masked(store.read(key), by=None, at=info.modified)
    except UnusableRegion as e:
        raise CorruptObject(f"{store.address(key)} is no ignored region: {e} Correct the file or remove it.") from e


def _overtaken(category: str, newest: IgnoredRegion) -> Conflict:
    who = newest.drawn_by or "somebody"
    return Conflict(
        f"{who} saved another region of {category!r} at {newest.drawn_at:%Y-%m-%d %H:%M} UTC, after this one was "
        "begun, so this one was not saved. Look at the saved region, and draw yours into it."
    )


_EMPTY = hashlib.sha256(json.dumps([(), None]).encode()).hexdigest()[:16]
"""digest of a region that ignores nothing"""
