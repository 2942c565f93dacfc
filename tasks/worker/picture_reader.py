"""From a key, a file's bytes or an array to a model's pixels, or the reason why there are none."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.settings import MICRO_BATCH
from rd_core.errors import ViewImpossible
from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_statistics import ImageStatistics, image_statistics
from rd_core.pictures.images import stacked_masks
from rd_core.pictures.read_ahead import at_once, read_ahead
from storage.errors import InvalidKey, KeyNotFound, ObjectDenied, UnreadableImage
from storage.images import content_digest
from storage.layout import why_key_is_unsafe
from storage.stores.store import Store
from tasks.worker.preprocessing import ImageFormat, SeenPicture

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """A picture after reading, decoding and resizing, or why there is none."""

    pixels: NDArray[np.uint8] | None
    """uint8 (height, width, 3), of the model's view"""
    size: tuple[int, int] | None
    """own height and width"""
    digest: str | None
    """SHA-256 (hex) of the bytes; None if none were read"""
    status: str
    """ok, unreadable, or rejected: a key that must not be opened"""
    error: str | None
    """why it is not ok"""
    seconds: dict[str, float] = field(default_factory=dict)
    """by stage: read, decode"""
    statistics: ImageStatistics | None = None
    """of `pixels`"""
    counted: NDArray[np.bool_] | None = None
    """bool (height, width), False in ignored regions and beyond an aligned image; None: every pixel counts"""
    offset: Offset | None = None
    """where the part lies; None if the model does not align images"""


def read_picture(images: Store, image_format: ImageFormat, key: str) -> LoadedPicture:
    """Read and decode one picture. Raises faults of the store; faults of the picture become a status."""
    unsafe = why_key_is_unsafe(key)
    if unsafe:
        return not_loaded("rejected", f"{unsafe}; it was not opened")
    started = time.perf_counter()
    try:
        data = images.read(key)
    except KeyNotFound:
        why = "the file is not there: removed meanwhile, or never a file but a link that leads nowhere, a pipe"
        return not_loaded("unreadable", why)
    except ObjectDenied:
        why = "may not be read by the account that scores; change the owner or mode of the file"
        return not_loaded("unreadable", why)
    except InvalidKey as e:
        return not_loaded("rejected", str(e))
    read = time.perf_counter() - started
    loaded = load_picture(image_format, data)
    return replace(loaded, seconds={"read": read, **loaded.seconds})


def load_picture(image_format: ImageFormat, data: bytes) -> LoadedPicture:
    """The bytes of a file, decoded, in the model's view; undecodable ones become 'unreadable' with the reason."""
    started = time.perf_counter()
    digest = content_digest(data)
    try:
        loaded = _loaded(image_format.prepare(data))
    except (UnreadableImage, ViewImpossible) as e:
        return LoadedPicture(None, None, digest, "unreadable", str(e))
    return replace(loaded, digest=digest, seconds={"decode": time.perf_counter() - started})


def load_array(image_format: ImageFormat, picture: NDArray[np.uint8]) -> LoadedPicture:
    """uint8 (H, W, 3), RGB, in the model's view; one that the view does not fit becomes 'unreadable'."""
    try:
        return _loaded(image_format.see(picture))
    except ViewImpossible as e:
        return not_loaded("unreadable", str(e))


def _loaded(seen: SeenPicture) -> LoadedPicture:
    statistics = image_statistics(seen.pixels)
    return LoadedPicture(
        seen.pixels, seen.size, None, "ok", None, statistics=statistics, counted=seen.counted, offset=seen.offset
    )


def not_loaded(status: str, why: str) -> LoadedPicture:
    """A picture without bytes."""
    return LoadedPicture(None, None, None, status, why)


def micro_batches(read: Callable[[T], R], items: Iterable[T], bytes_each: int) -> Iterator[list[R]]:
    """`read` of each item, in order, at most MICRO_BATCH at a time, and fewer of large ones; read ahead by a limited
    number.

    bytes_each: of a result, such as `ImageFormat.picture_bytes`.
    """
    results = read_ahead(read, items, bytes_each)
    while batch := list(islice(results, at_once(bytes_each, MICRO_BATCH))):
        yield batch


def counted_in(pictures: Sequence[LoadedPicture]) -> NDArray[np.bool_] | None:
    """The pixels that count, bool as `stacked`; None: all."""
    return stacked_masks([picture.counted for picture in pictures if picture.pixels is not None])


def stacked(pictures: Sequence[LoadedPicture]) -> NDArray[np.uint8]:
    """uint8 (b, height, width, 3) of the readable ones, in order; b, height and width are 0 without any."""
    pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
    return np.stack(pixels) if pixels else np.empty((0, 0, 0, 3), np.uint8)
