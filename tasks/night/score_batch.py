"""Scoring a batch: from object storage to one zarr shard and one Parquet part."""

import time
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from storage.errors import CorruptObject, KeyNotFound
from storage.filesystem import Store, open_store
from storage.images import content_digest
from storage.layout import part_key
from storage.partitions import anomaly_maps, manifests, scores
from storage.partitions.scores import ScoreRow
from storage.records import Batch, ObjectInfo, Receipt
from tasks.scoring.picture_scores import ScoredPicture, columns_of, score_pictures
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.picture_reader import micro_batches, read_picture
from tasks.worker.progress import Scored, tell
from tasks.worker.traces import describe_span
from tasks.worker.worker_process import prepare_worker_process

if TYPE_CHECKING:
    from tasks.worker.scorer import Scorer


@task(
    name="score-batch",
    task_run_name="score {batch.plan.partition.category} batch {batch.index}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def score_batch(store_uri: str, images_uri: str, batch: Batch) -> Receipt:
    """Score one batch; maps are written before the part, so that a part always has its maps.

    A bad image becomes a row. Can be repeated: names and bytes are the same, and an existing part is only read.
    """
    store = open_store(store_uri)
    partition = batch.plan.partition
    key = part_key(partition.category, partition.run_date, partition.model_version, batch.digest)
    receipt = _receipt_of_existing(store, key, batch)
    if receipt is not None:
        tell(Scored(stage="inspect", category=partition.category, done=receipt.rows))
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
    """The receipt of a complete part of an earlier, interrupted run whose maps match; None: score the batch."""
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
    from tasks.worker.scorer import warm_scorer  # noqa: PLC0415  # brings torch: flow processes import this module, and score nothing

    partition = batch.plan.partition
    scorer = warm_scorer(store, partition.category, partition.model_version, batch.plan.engine)
    infos = manifests.read_manifest_slice(store, batch.plan.manifest, batch.start, batch.stop)
    maps = np.full((len(infos), *scorer.map_size), np.nan, dtype=np.float16)
    seconds: defaultdict[str, float] = defaultdict(float)
    scored: list[ScoredPicture] = []
    read = partial(read_picture, images, scorer.image_format)
    for chunk in micro_batches(read, [info.key for info in infos], scorer.image_format.picture_bytes):
        for loaded in chunk:
            for stage, spent in loaded.seconds.items():
                seconds[stage] += spent
        started = time.perf_counter()
        scored.extend(score_pictures(scorer, chunk, maps[len(scored) : len(scored) + len(chunk)]))
        seconds["forward"] += time.perf_counter() - started
        tell(Scored(stage="inspect", category=partition.category, done=len(chunk)))
    started = time.perf_counter()
    shard = anomaly_maps.write_batch_maps(store, batch.plan.map_store, batch.index, maps)
    rows = [
        _row(batch, scorer, batch.start + i, info, picture)
        for i, (info, picture) in enumerate(zip(infos, scored, strict=True))
    ]
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


def _row(batch: Batch, scorer: "Scorer", map_index: int, image: ObjectInfo, picture: ScoredPicture) -> ScoreRow:
    plan = batch.plan
    return ScoreRow(
        image_key=image.key,
        etag=image.etag,
        category=plan.partition.category,
        run_date=plan.partition.run_date,
        captured_at=image.modified,
        model_version=plan.partition.model_version,
        map_store=plan.map_store,
        map_index=map_index if picture.score is not None else None,
        scored_at=plan.planned_at,
        run_id=plan.run_id,
        **columns_of(picture, scorer),
    )
