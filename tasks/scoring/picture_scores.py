"""What a model says of pictures, one like the other: of a night's and of those that somebody asks about by hand."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rd_core.calibration.threshold import ACCEPT, triage
from rd_core.detectors.reverse_distillation.settings import MICRO_BATCH
from rd_core.maps.defect_regions import DefectRegion, defect_regions
from rd_core.pictures.image_statistics import ImageStatistics, image_statistics
from storage.errors import InvalidKey, KeyNotFound, ObjectDenied, UnreadableImage
from storage.layout import why_key_is_unsafe
from storage.pictures.images import content_digest
from storage.stores.store import Store

if TYPE_CHECKING:
    from tasks.worker.scorer import Scorer

READERS = 4
"""threads that fetch and decode ahead of the forward pass"""
READ_AHEAD = 2 * MICRO_BATCH
"""decoded pictures in memory at most, besides those in the forward pass"""

T = TypeVar("T")
L = TypeVar("L")


@dataclass(frozen=True)
class LoadedPicture:
    """A picture after reading, decoding and resizing, or why there is none."""

    pixels: NDArray[np.uint8] | None
    """uint8 (height, width, 3), of the model's size"""
    size: tuple[int, int] | None
    """own height and width"""
    digest: str | None
    """SHA-256 (hex) of the bytes; None where none were read"""
    status: str
    error: str | None
    seconds: dict[str, float] = field(default_factory=dict)
    """by stage: read, decode"""
    statistics: ImageStatistics | None = None


@dataclass(frozen=True)
class ScoredPicture:
    """What the forward pass says of one picture; None throughout where there was nothing to score."""

    loaded: LoadedPicture
    score: np.float32 | None = None
    p_value: float | None = None
    anomalous_area: float | None = None
    feature_distance: float | None = None
    decision: str | None = None
    defect_area: float | None = None
    regions: tuple[DefectRegion, ...] | None = None


def not_loaded(status: str, why: str) -> LoadedPicture:
    """A picture of which no bytes were read."""
    return LoadedPicture(None, None, None, status, why)


def read_picture(images: Store, scorer: "Scorer", key: str) -> LoadedPicture:
    """Read and decode one picture. A fault of the store is raised, a fault of the picture becomes a status."""
    unsafe = why_key_is_unsafe(key)
    if unsafe:
        return not_loaded("rejected", f"{unsafe}; it was not opened")
    started = time.perf_counter()
    try:
        data = images.read(key)
    except KeyNotFound:
        why = "removed between listing and reading, or never a file: a link that leads nowhere, a pipe"
        return not_loaded("unreadable", why)
    except ObjectDenied:
        why = "may not be read by the account that scores; change the owner or mode of the file"
        return not_loaded("unreadable", why)
    except InvalidKey as e:
        return not_loaded("rejected", str(e))
    read = time.perf_counter() - started
    loaded = load_picture(scorer, data)
    return replace(loaded, seconds={"read": read, **loaded.seconds})


def load_picture(scorer: "Scorer", data: bytes) -> LoadedPicture:
    """The bytes of a file, decoded and resized; what is no picture becomes 'unreadable', with the reason."""
    started = time.perf_counter()
    digest = content_digest(data)
    try:
        pixels, size = scorer.prepare(data)
    except UnreadableImage as e:
        return LoadedPicture(None, None, digest, "unreadable", str(e))
    statistics = image_statistics(pixels)
    return LoadedPicture(pixels, size, digest, "ok", None, {"decode": time.perf_counter() - started}, statistics)


def load_array(scorer: "Scorer", picture: NDArray[np.uint8]) -> LoadedPicture:
    """uint8 (H, W, 3), RGB, resized."""
    pixels = scorer.fitted(picture)
    return LoadedPicture(pixels, picture.shape[:2], None, "ok", None, statistics=image_statistics(pixels))


def load_ahead(load: Callable[[T], L], items: Iterable[T]) -> Iterator[L]:
    """`load` of each, in order, by threads that are never more than READ_AHEAD pictures ahead."""
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="read")
    try:
        waiting = iter(items)
        ahead = [pool.submit(load, item) for item in islice(waiting, READ_AHEAD)]
        while ahead:
            yield ahead.pop(0).result()
            ahead.extend(pool.submit(load, item) for item in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)  # whoever stops early, as by Ctrl-C, need not wait for what nobody wants


def score_pictures(
    scorer: "Scorer", pictures: Sequence[LoadedPicture], maps: NDArray[np.floating] | None = None
) -> list[ScoredPicture]:
    """Score what could be loaded, MICRO_BATCH pictures at most at a time. Their maps are laid into `maps`, float16 or
    float32 (len(pictures), H, W), where it is given; rows without a score are left as they are."""
    readable = [(i, picture.pixels) for i, picture in enumerate(pictures) if picture.pixels is not None]
    results = [ScoredPicture(picture) for picture in pictures]
    if not readable:
        return results
    found = scorer.model.score(np.stack([pixels for _, pixels in readable]))
    p_values = scorer.p_values(found.scores)
    areas = np.count_nonzero(found.maps > scorer.threshold, axis=(1, 2)) / found.maps[0].size
    decisions = triage(found.scores, *scorer.review_band)
    if maps is not None:
        kept = _as(maps.dtype, found.maps)
        for row, (i, _) in enumerate(readable):
            maps[i] = kept[row]
    for row, (i, _) in enumerate(readable):
        results[i] = ScoredPicture(
            pictures[i],
            found.scores[row],
            float(p_values[row]),
            float(areas[row]),
            float(found.feature_distances[row]),
            str(decisions[row]),
            *_extent(scorer, found.maps[row], str(decisions[row])),
        )
    return results


def columns_of(one: ScoredPicture, scorer: "Scorer") -> dict[str, Any]:
    """The columns of a score row that follow from picture and model alone, wherever the picture lies."""
    loaded = one.loaded
    return {
        "content_digest": loaded.digest,
        "preprocessing": scorer.preprocessing,
        "score": None if one.score is None else float(one.score),
        "threshold": float(scorer.threshold),
        "p_value": one.p_value,
        "is_anomalous": None if one.score is None else bool(one.score > scorer.threshold),
        "status": loaded.status,
        "error": loaded.error,
        "anomalous_area": one.anomalous_area,
        "image_height": loaded.size[0] if loaded.size else None,
        "image_width": loaded.size[1] if loaded.size else None,
        "feature_distance": one.feature_distance,
        "decision": one.decision,
        "defect_area": one.defect_area,
        "defect_boxes": _boxes(one, scorer),
        **(asdict(loaded.statistics) if loaded.statistics else {}),
    }


def _as(kind: np.dtype[Any], maps: NDArray[np.float32]) -> NDArray[np.floating]:
    from tasks.worker.scorer import as_halves  # noqa: PLC0415  # torch's cast, where torch was imported to score

    return as_halves(maps) if kind == np.float16 else maps


def _extent(
    scorer: "Scorer", anomaly_map: np.ndarray, decision: str
) -> tuple[float | None, tuple[DefectRegion, ...] | None]:
    """(share of the map above the pixel threshold, regions of defects): none are looked for in an accepted image."""
    level = scorer.pixel_threshold
    if level is None:
        return None, None
    regions = () if decision == ACCEPT else defect_regions(anomaly_map, level, scorer.review_band[0])
    return np.count_nonzero(anomaly_map > level) / anomaly_map.size, regions


def _boxes(one: ScoredPicture, scorer: "Scorer") -> list[dict[str, float]] | None:
    """Regions of the map as boxes in the image's own pixels, whole pixels outwards."""
    size = one.loaded.size
    if one.regions is None or size is None:
        return None
    down, across = size[0] / scorer.height, size[1] / scorer.width
    boxes = []
    for region in one.regions:
        top, left = math.floor(region.top * down), math.floor(region.left * across)
        bottom = min(math.ceil((region.top + region.height) * down), size[0])
        right = min(math.ceil((region.left + region.width) * across), size[1])
        boxes.append({"top": top, "left": left, "height": bottom - top, "width": right - left, "peak": region.peak})
    return boxes
