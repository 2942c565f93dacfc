"""Pictures for the page: the image, its anomaly map over it, and the nearest normal image."""

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_view import ImageView
from reports.overlay import overlay, shrunk
from reports.scored_image import box_in_shares, boxes_in_shares
from review.sealed_rows import ReviewRow
from storage.errors import KeyNotFound, StorageError, UnreadableImage
from storage.images import content_digest, decode, room_for
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import anomaly_maps
from storage.stores.store import Store

LONGEST_SIDE = 2048
"""pixels; larger pictures are shrunk, which no screen shows"""
SMALL_SIDE = 224
"""pixels, of the pictures in a list"""
MOST_NORMALS = 200
"""normal images of a category among which the nearest is searched"""
_THUMBNAIL = 32
"""pixels a side of the grey thumbnails that are compared"""
_LOSSLESS_PIXELS = 512 * 512
_THUMBNAILS_KEPT = 1000
"""some 10 kB each"""
_LONGEST_WEBP = 16383
"""largest side of the format in pixels"""
_READERS = 8


class ImageChanged(Exception):
    """The image is not the one that was scored."""


@dataclass(frozen=True)
class Normal:
    """The normal image shown beside an image."""

    image_key: str
    distance: float
    """root mean square difference of the two thumbnails, in grey levels [0, 255]"""


@dataclass(frozen=True, eq=False)
class _Normals:
    keys: tuple[str, ...]
    thumbnails: NDArray[np.float32]
    """[len(keys), _THUMBNAIL ** 2]"""


class Pictures:
    """Draws pictures from the store on request. Thread-safe."""

    def __init__(self, store: Store, images: Store) -> None:
        self._store, self._images = store, images
        self._lock = Lock()
        self._normals = lru_cache(maxsize=64)(self._read_normals)
        self._card = lru_cache(maxsize=64)(partial(models.read_card, store))
        self._pixels = lru_cache(maxsize=16)(self._read_pixels)
        self.thumbnail = lru_cache(maxsize=_THUMBNAILS_KEPT)(self._draw_thumbnail)
        self.nearest = lru_cache(maxsize=4096)(self._nearest)

    def is_unchanged(self, row: ReviewRow) -> bool:
        """Whether the image is still the one that was scored. Raises KeyNotFound."""
        info = self._images.info(row.image_key)
        if info is not None and info.etag == row.etag:
            return True
        # A store that was copied has other etags; the bytes decide.
        return content_digest(self._images.read(row.image_key)) == row.content_digest

    def picture(self, row: ReviewRow) -> bytes:
        """The image as WebP. Raises ImageChanged, KeyNotFound, UnreadableImage."""
        return webp(self._pixels(row))

    def full_picture(self, row: ReviewRow) -> tuple[bytes, str]:
        """The image with all its pixels, and the media type of these bytes. Raises as `picture`."""
        data, card = self._unchanged(row), self._card(row.category, row.model_version)
        with room_for(data):
            pixels = decode(data, **card.preprocessing.decoding)
            if max(pixels.shape[:2]) <= _LONGEST_WEBP:
                return webp(pixels), "image/webp"
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG", compress_level=1)
            return out.getvalue(), "image/png"

    def overlay(self, row: ReviewRow) -> bytes:
        """The image with its anomaly map in colour as WebP of the same size. Raises as `picture`, and StorageError
        without a map."""
        return webp(self._with_map(self._pixels(row), row))

    def _draw_thumbnail(self, row: ReviewRow) -> bytes:
        """The image, with its map if there is one, as a small WebP. Raises as `picture`."""
        pixels = shrunk(self._pixels(row), SMALL_SIDE)
        with suppress(StorageError):  # maps are deleted before images
            pixels = self._with_map(pixels, row)
        return webp(pixels)

    def _with_map(self, pixels: NDArray[np.uint8], row: ReviewRow) -> NDArray[np.uint8]:
        if row.map_store is None or row.map_index is None:
            raise KeyNotFound(f"the image {row.image_key!r} has no anomaly map.")
        anomaly_map = anomaly_maps.read_map(self._store, row.map_store, row.map_index)
        card = self._card(row.category, row.model_version)
        view, height, width = ImageView.from_dict(card.preprocessing.view), row.image_height, row.image_width
        offset, covered = Offset.of_row(vars(row)), None
        if height and width:
            anomaly_map, box = view.over_image(anomaly_map, (height, width), offset)
            covered = box_in_shares(box, height, width)
        ignored = view.ignored_on((pixels.shape[0], pixels.shape[1]), (height, width), offset)
        boxes = boxes_in_shares(row.defect_boxes, height, width)
        level = card.pixel_threshold.value
        return overlay(pixels, anomaly_map, level, boxes, covered=covered, ignored=ignored)

    def nearest_picture(self, row: ReviewRow) -> bytes | None:
        """The nearest normal image as WebP; None if there is none. Raises as `picture`."""
        normal = self.nearest(row)
        if normal is None:
            return None
        card = self._card(row.category, row.model_version)
        return webp(self._decoded(self._images.read(normal.image_key), card))

    def _nearest(self, row: ReviewRow) -> Normal | None:
        """The most similar normal image of the champion's card; None if the card names none."""
        champion = models.read_champion(self._store, row.category)
        if champion is None:
            return None
        with self._lock:  # so that two requests at once do not both read 200 images
            normals = self._normals(row.category, champion.version)
        others = [i for i, key in enumerate(normals.keys) if key != row.image_key]
        if not others:
            return None
        distances = np.sqrt(np.mean((normals.thumbnails[others] - _thumbnail(self._pixels(row))) ** 2, axis=1))
        best = int(distances.argmin())
        return Normal(normals.keys[others[best]], float(distances[best]))

    def _read_normals(self, category: str, version: str) -> _Normals:
        """Up to MOST_NORMALS of the model's calibration and training images, evenly spaced; often they are the
        same."""
        made_with = self._card(category, version).images
        keys = list(dict.fromkeys((*made_with.calibration, *made_with.train)))
        chosen = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, MOST_NORMALS).astype(int))] if keys else []
        with ThreadPoolExecutor(_READERS) as pool:
            thumbnails = list(pool.map(lambda key: self._read_thumbnail(key, category, version), chosen))
        pairs = [(key, thumbnail) for key, thumbnail in zip(chosen, thumbnails, strict=True) if thumbnail is not None]
        stacked = np.array([thumbnail for _, thumbnail in pairs], np.float32).reshape(len(pairs), _THUMBNAIL**2)
        return _Normals(tuple(key for key, _ in pairs), stacked)

    def _read_thumbnail(self, key: str, category: str, version: str) -> NDArray[np.float32] | None:
        try:
            return _thumbnail(self._decoded(self._images.read(key), self._card(category, version)))
        except (StorageError, UnreadableImage):
            return None  # missing or damaged since the training; others remain

    def _read_pixels(self, row: ReviewRow) -> NDArray[np.uint8]:
        return self._decoded(self._unchanged(row), self._card(row.category, row.model_version))

    def _unchanged(self, row: ReviewRow) -> bytes:
        """The image's bytes. Raises as `picture`."""
        try:
            data = self._images.read(row.image_key)
        except KeyNotFound as e:
            raise KeyNotFound(
                f"the image {row.image_key!r} is missing; it was there when {row.run_date} was inspected. Its score "
                "is kept. Put the file back to see it."
            ) from e
        if row.status != "ok":
            raise UnreadableImage(f"there is no picture: {row.error or row.status}")
        if content_digest(data) != row.content_digest:
            raise ImageChanged(
                f"the image {row.image_key!r} has changed since it was scored for {row.run_date}, so its heat map "
                "would be wrong. Inspect the day again; it then appears here with its new score."
            )
        return data

    def _decoded(self, data: bytes, card: ModelCard) -> NDArray[np.uint8]:
        """With its longest side at most LONGEST_SIDE."""
        with room_for(data):
            return shrunk(decode(data, **card.preprocessing.decoding), LONGEST_SIDE)


def _thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = Image.fromarray(pixels).convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel()


def webp(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels (H, W, 3 or 4) as WebP: a small picture without loss, a large one with some, which is smaller."""
    out = io.BytesIO()
    lossless = pixels.shape[0] * pixels.shape[1] <= _LOSSLESS_PIXELS
    Image.fromarray(pixels).save(out, "WEBP", lossless=lossless, quality=90, method=2)
    return out.getvalue()
