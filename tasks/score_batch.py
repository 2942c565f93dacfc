"""A batch from object storage to one zarr shard and one Parquet part."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.config import MICRO_BATCH
from rd_core.defect_regions import DefectRegion, defect_regions
from rd_core.image_statistics import ImageStatistics, image_statistics
from rd_core.threshold import ACCEPT, triage
from storage import anomaly_maps, manifests, scores
from storage.errors import CorruptObject, InvalidKey, KeyNotFound, ObjectDenied, UnreadableImage
from storage.filesystem import Store, open_store
from storage.images import content_digest
from storage.layout import part_key, why_key_is_unsafe
from storage.records import Batch, ObjectInfo, Receipt
from storage.scores import ScoreRow
from tasks.faults import ON_STORAGE_FAULT
from tasks.progress import Progress, tell
from tasks.traces import describe_span
from tasks.worker_process import prepare_worker_process

if TYPE_CHECKING:
    from tasks.scorer import Scorer

READERS = 4
"""threads that fetch and decode ahead of the forward pass"""
READ_AHEAD = 2 * MICRO_BATCH
"""decoded images in memory at most, besides those in the forward pass"""


@dataclass(frozen=True)
class _Loaded:
    """One image after reading, decoding and resizing, or why not."""

    image: ObjectInfo
    pixels: np.ndarray | None
    """uint8 (height, width, 3)"""
    size: tuple[int, int] | None
    """own height and width"""
    digest: str | None
    status: str
    error: str | None
    seconds: dict[str, float]
    statistics: ImageStatistics | None = None


@dataclass(frozen=True)
class _Scored:
    """What the forward pass says of one image; None throughout where there was nothing to score."""

    loaded: _Loaded
    score: np.float32 | None = None
    p_value: float | None = None
    anomalous_area: float | None = None
    feature_distance: float | None = None
    decision: str | None = None
    defect_area: float | None = None
    regions: tuple[DefectRegion, ...] | None = None


@task(
    name="score-batch",
    task_run_name="score {batch.plan.partition.category} batch {batch.index}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def score_batch(store_uri: str, images_uri: str, batch: Batch) -> Receipt:
    """Score one batch: maps first, then the part, so that a part always has its maps.

    A bad image becomes a row. May run any number of times: the names and the bytes come out the same, and a part
    that is there already is only read again.
    """
    store = open_store(store_uri)
    partition = batch.plan.partition
    key = part_key(partition.category, partition.run_date, partition.model_version, batch.digest)
    receipt = _receipt_of_existing(store, key, batch)
    if receipt is not None:
        tell(Progress(stage="inspect", category=partition.category, done=receipt.rows, total=None))
        return receipt
    prepare_worker_process()
    receipt = _score(store, open_store(images_uri, read_only=True), batch, key)
    get_run_logger().info(
        "batch scored run=%s category=%s model=%s batch=%d rows=%d anomalous=%d unreadable=%d rejected=%d",
        batch.plan.run_id, partition.category, partition.model_version, batch.index,
        receipt.rows, receipt.anomalous, receipt.unreadable, receipt.rejected,
    )  # fmt: skip
    describe_span(
        {
            "category": partition.category,
            "model_version": partition.model_version,
            "run_date": str(partition.run_date),
            "rows": receipt.rows,
            "anomalous": receipt.anomalous,
            **{f"seconds.{stage}": spent for stage, spent in receipt.seconds.items()},
        }
    )
    return receipt


def _receipt_of_existing(store: Store, key: str, batch: Batch) -> Receipt | None:
    """The receipt of a part an earlier, interrupted run has written whole and whose maps are still those it names, or
    None: then the batch is scored."""
    try:
        data = store.read(key)
        table, maps = scores.part_with_maps(data, store.address(key))
        written = anomaly_maps.shard_of(store.read(anomaly_maps.shard_key(batch.plan.map_store, batch.index)))
    except (KeyNotFound, CorruptObject):  # a damaged part is written again
        return None
    if table.num_rows != batch.stop - batch.start or maps != written:
        return None
    counts = Counter(table["status"].to_pylist())
    anomalous = sum(flag is True for flag in table["is_anomalous"].to_pylist())
    return Receipt(
        key, content_digest(data), table.num_rows,
        counts["ok"], counts["unreadable"], counts["rejected"], anomalous,
    )  # fmt: skip


def _score(store: Store, images: Store, batch: Batch, key: str) -> Receipt:
    from tasks.scorer import warm_scorer  # noqa: PLC0415  # brings torch: flow processes import this module, and score nothing

    partition = batch.plan.partition
    scorer = warm_scorer(store, partition.category, partition.model_version, batch.plan.engine)
    infos = manifests.read_manifest_slice(store, batch.plan.manifest, batch.start, batch.stop)
    maps = np.full((len(infos), scorer.height, scorer.width), np.nan, dtype=np.float16)
    seconds: defaultdict[str, float] = defaultdict(float)
    scored: list[_Scored] = []
    for chunk in _chunks(_load_ahead(images, scorer, infos), MICRO_BATCH):
        for loaded in chunk:
            for stage, spent in loaded.seconds.items():
                seconds[stage] += spent
        started = time.perf_counter()
        scored.extend(_forward(scorer, chunk, maps[len(scored) : len(scored) + len(chunk)]))
        seconds["forward"] += time.perf_counter() - started
        tell(Progress(stage="inspect", category=partition.category, done=len(chunk), total=None))
    started = time.perf_counter()
    shard = anomaly_maps.write_batch_maps(store, batch.plan.map_store, batch.index, maps)
    rows = [_row(batch, scorer, batch.start + i, one) for i, one in enumerate(scored)]
    digest, count = scores.write_part(store, key, rows, shard)
    seconds["write"] += time.perf_counter() - started
    statuses = Counter(row.status for row in rows)
    return Receipt(
        part=key,
        digest=digest,
        rows=count,
        ok=statuses["ok"],
        unreadable=statuses["unreadable"],
        rejected=statuses["rejected"],
        anomalous=sum(bool(row.is_anomalous) for row in rows),
        seconds=dict(seconds),
    )


def _load_ahead(images: Store, scorer: "Scorer", infos: list[ObjectInfo]) -> Iterator[_Loaded]:
    """Images in order, read and decoded by threads that are never more than READ_AHEAD images ahead."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:
        waiting = iter(infos)
        ahead = [pool.submit(_load, images, scorer, info) for info in islice(waiting, READ_AHEAD)]
        while ahead:
            yield ahead.pop(0).result()
            ahead.extend(pool.submit(_load, images, scorer, info) for info in islice(waiting, 1))


def _load(images: Store, scorer: "Scorer", info: ObjectInfo) -> _Loaded:
    """Read and decode one image. A fault of the store is raised, a fault of the image becomes a status."""
    unsafe = why_key_is_unsafe(info.key)
    if unsafe:
        return _Loaded(info, None, None, None, "rejected", f"{unsafe}; it was not opened", {})
    started = time.perf_counter()
    try:
        data = images.read(info.key)
    except KeyNotFound:
        why = "removed between listing and reading, or never a file: a link that leads nowhere, a pipe"
        return _Loaded(info, None, None, None, "unreadable", why, {})
    except ObjectDenied:
        why = "may not be read by the account that scores; change the owner or mode of the file"
        return _Loaded(info, None, None, None, "unreadable", why, {})
    except InvalidKey as e:
        return _Loaded(info, None, None, None, "rejected", str(e), {})
    read = time.perf_counter()
    digest = content_digest(data)
    try:
        pixels, size = scorer.prepare(data)
    except UnreadableImage as e:
        return _Loaded(info, None, None, digest, "unreadable", str(e), {"read": read - started})
    statistics = image_statistics(pixels)
    seconds = {"read": read - started, "decode": time.perf_counter() - read}
    return _Loaded(info, pixels, size, digest, "ok", None, seconds, statistics)


def _forward(scorer: "Scorer", chunk: list[_Loaded], maps: np.ndarray) -> list[_Scored]:
    """Score the readable images of `chunk` and lay their maps into `maps` (float16 [len(chunk), H, W], a view)."""
    from tasks.scorer import as_halves  # noqa: PLC0415  # torch's cast, in the worker that has imported torch to score

    readable = [(i, loaded.pixels) for i, loaded in enumerate(chunk) if loaded.pixels is not None]
    results = [_Scored(loaded) for loaded in chunk]
    if not readable:
        return results
    found = scorer.model.score(np.stack([pixels for _, pixels in readable]))
    p_values = scorer.p_values(found.scores)
    areas = np.count_nonzero(found.maps > scorer.threshold, axis=(1, 2)) / found.maps[0].size
    halves = as_halves(found.maps)
    decisions = triage(found.scores, *scorer.review_band)
    for row, (i, _) in enumerate(readable):
        maps[i] = halves[row]
        results[i] = _Scored(
            chunk[i],
            found.scores[row],
            float(p_values[row]),
            float(areas[row]),
            float(found.feature_distances[row]),
            str(decisions[row]),
            *_extent(scorer, found.maps[row], str(decisions[row])),
        )
    return results


def _extent(
    scorer: "Scorer", anomaly_map: np.ndarray, decision: str
) -> tuple[float | None, tuple[DefectRegion, ...] | None]:
    """(share of the map above the pixel threshold, regions of defects): none are looked for in an accepted image."""
    level = scorer.pixel_threshold
    if level is None:
        return None, None
    regions = () if decision == ACCEPT else defect_regions(anomaly_map, level, scorer.review_band[0])
    return np.count_nonzero(anomaly_map > level) / anomaly_map.size, regions


def _row(batch: Batch, scorer: "Scorer", map_index: int, one: _Scored) -> ScoreRow:
    plan, loaded = batch.plan, one.loaded
    return ScoreRow(
        image_key=loaded.image.key,
        etag=loaded.image.etag,
        content_digest=loaded.digest,
        category=plan.partition.category,
        run_date=plan.partition.run_date,
        captured_at=loaded.image.modified,
        model_version=plan.partition.model_version,
        preprocessing=scorer.preprocessing,
        score=None if one.score is None else float(one.score),
        threshold=float(scorer.threshold),
        p_value=one.p_value,
        is_anomalous=None if one.score is None else bool(one.score > scorer.threshold),
        status=loaded.status,
        error=loaded.error,
        map_store=plan.map_store,
        map_index=map_index if one.score is not None else None,
        anomalous_area=one.anomalous_area,
        image_height=loaded.size[0] if loaded.size else None,
        image_width=loaded.size[1] if loaded.size else None,
        scored_at=plan.planned_at,
        run_id=plan.run_id,
        feature_distance=one.feature_distance,
        decision=one.decision,
        defect_area=one.defect_area,
        defect_boxes=_boxes(one, scorer),
        **(asdict(loaded.statistics) if loaded.statistics else {}),
    )


def _boxes(one: _Scored, scorer: "Scorer") -> list[dict[str, float]] | None:
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


def _chunks(items: Iterator[_Loaded], size: int) -> Iterator[list[_Loaded]]:
    while chunk := list(islice(items, size)):
        yield chunk
