"""Nights without a network: images, maps, parts and seals as a run leaves them, in milliseconds."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np

from proofs.model_cards import made_up_card
from storage import layout
from storage.errors import KeyNotFound
from storage.images import content_digest, list_images
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import anomaly_maps, manifests, scores
from storage.partitions.manifests import batch_digest, publish_plan
from storage.partitions.scores import ScoreRow
from storage.partitions.seals import SealedPart, SealedPlan, add_plan, last_plan_with, read_seal
from storage.records import ObjectInfo, Partition, Plan
from storage.stores.store import Store

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
SIZE = 8
BATCH = 2
THRESHOLD = 2.0


@dataclass(frozen=True)
class Night:
    """What a run wrote."""

    partition: Partition
    plan: Plan
    parts: tuple[SealedPart, ...]


def card_of(category: str, version: str, weights: bytes = b"") -> ModelCard:
    return made_up_card(category, version, weights, side=SIZE, threshold={"value": THRESHOLD})


def put_model(store: Store, category: str = "cloth", version: str = "v1", *, champion: bool = True) -> None:
    weights = f"weights of {version}".encode()
    models.publish_model(store, card_of(category, version, weights), weights)
    if champion:
        models.promote(store, category, version, by="test", now=NOW)


def share_weights(store: Store, version: str = "v2", of: str = "v1", threshold: float = THRESHOLD) -> None:
    """A version with the weights of another, and in force instead of it."""
    card = models.read_card(store, "cloth", of)
    weights = replace(card.weights, version=card.weights_version)
    models.publish_recalibrated(
        store, replace(card, version=version, weights=weights, threshold=replace(card.threshold, value=threshold))
    )
    models.promote(store, "cloth", version, by="test", now=NOW)


def put_images(store: Store, *names: str, category: str = "cloth", day: date = DAY) -> None:
    for name in names:
        store.write(layout.image_key(category, day, name), name.encode())


def put_night(
    store: Store, category: str = "cloth", day: date = DAY, version: str = "v1", *,
    only: list[str] | None = None, batches: int | None = None, seal: bool = True,
) -> Night:  # fmt: skip
    """Score the images there (or `only` those names), the first `batches`, and seal; the last image is unreadable."""
    partition = Partition(category, day, version)
    there = [image for image in list_images(store, category, day) if only is None or image.key.split("/")[-1] in only]
    before = last_plan_with(store, read_seal(store, partition), [image.key for image in there])
    plan = publish_plan(
        store, partition, there, preprocessing="p1", batch_size=BATCH, run_id="run-1", planned_at=NOW,
        supersedes=before.digest if before else None,
    )  # fmt: skip
    card = card_of(category, version)
    array = anomaly_maps.MapArray.of(plan, card.maps, card.map_threshold)
    anomaly_maps.create_maps(store, plan.map_store, array)
    count = -(-plan.images // BATCH)
    parts = tuple(_batch(store, plan, index) for index in range(count if batches is None else batches))
    if seal:
        n = plan.images
        add_plan(
            store, partition,
            SealedPlan(
                plan.manifest, plan.digest, plan.map_store, n, n - 1, 1, 0, 0, parts, "run-1", NOW,
                supersedes=plan.supersedes,
                manifest_digest=content_digest(store.read(plan.manifest)),
            ),
        )  # fmt: skip
    return Night(partition, plan, parts)


def _batch(store: Store, plan: Plan, index: int) -> SealedPart:
    start, stop = index * BATCH, min((index + 1) * BATCH, plan.images)
    images = manifests.read_manifest_slice(store, plan.manifest, start, stop)
    maps = np.random.default_rng(start).random((len(images), SIZE, SIZE), dtype=np.float32)
    rows = [
        _row(plan, start + i, image, _digest(store, image.key), float(maps[i].max()))
        for i, image in enumerate(images)
    ]
    for i, row in enumerate(rows):
        if row.status != "ok":
            maps[i] = np.nan
    shard = anomaly_maps.write_batch_maps(store, plan.map_store, index, maps.astype(np.float16))
    where = plan.partition
    key = layout.part_key(where.category, where.run_date, where.model_version, batch_digest(plan.digest, index))
    digest, count = scores.write_part(store, key, rows, shard)
    return SealedPart(key, count, digest)


def _digest(store: Store, key: str) -> str | None:
    try:
        return content_digest(store.read(key))
    except KeyNotFound:
        return None


def _row(plan: Plan, i: int, image: ObjectInfo, digest: str | None, score: float) -> ScoreRow:
    ok = i < plan.images - 1
    return ScoreRow(
        image_key=image.key, etag=image.etag, content_digest=digest,
        category=plan.partition.category, run_date=plan.partition.run_date, captured_at=NOW,
        model_version=plan.partition.model_version, preprocessing="p1", score=score if ok else None,
        threshold=THRESHOLD, p_value=0.5 if ok else None, is_anomalous=False if ok else None,
        status="ok" if ok else "unreadable", error=None if ok else "cut off",
        map_store=plan.map_store, map_index=i if ok else None,
        anomalous_area=0.0 if ok else None, image_height=SIZE if ok else None, image_width=SIZE if ok else None,
        scored_at=NOW, run_id=plan.run_id,
    )  # fmt: skip
