"""A sealed night to look at: images of known score, a champion whose card names normal images."""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from PIL import Image

from proofs.model_cards import publish_made_up
from storage.images import content_digest
from storage.layout import image_key, part_key
from storage.models import models
from storage.partitions import scores, seals
from storage.partitions.anomaly_maps import MapArray, create_maps, write_batch_maps
from storage.partitions.manifests import publish_plan
from storage.partitions.scores import STATUSES, ScoreRow
from storage.records import Partition
from storage.stores.store import Store

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
THRESHOLD = 1.0
SIDE = 32
"""pixels of images and maps"""
NO_SCORE: Mapping[str, Any] = dict.fromkeys(
    ("score", "p_value", "is_anomalous", "anomalous_area", "image_height", "image_width", "decision")
)


@dataclass(frozen=True)
class Scored:
    """What the night says of an image."""

    score: float
    p_value: float
    decision: str | None = None
    status: str = "ok"
    """of others nothing but the status is kept, and a file that is no picture"""


SCORES: Mapping[str, Scored] = {
    "far.png": Scored(2.0, 0.01),
    "near.png": Scored(1.05, 0.02),
    "borderline.png": Scored(0.9, 0.14),
    "ordinary.png": Scored(0.5, 0.6),
}
"""by name; with alpha 0.05 the first three are worth a look, the nearest to the threshold first"""


def png(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A picture of its own for every seed. Not that of tests.factories, which brings the networks with it."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


def put_night(
    store: Store,
    category: str = "cloth",
    found: Mapping[str, Scored] = SCORES,
    *,
    images: Store | None = None,
    version: str = "v1",
    scored_at: datetime = NOW,
    day: date = DAY,
    size: tuple[int, int] = (SIDE, SIDE),
) -> dict[str, str]:
    """Images, maps, scores and seal of a night, and the card of its model: image keys by name."""
    images = images or store
    keys = {name: image_key(category, day, name) for name in found}
    infos = []
    for seed, (key, one) in enumerate(zip(keys.values(), found.values(), strict=True)):
        if images.info(key) is None:
            images.write(key, png(seed, size) if one.status == "ok" else b"no picture")
        infos.append(images.info(key))
    partition = Partition(category, day, version)
    plan = publish_plan(store, partition, infos, preprocessing="p", batch_size=64, run_id="r", planned_at=NOW)
    create_maps(store, plan.map_store, MapArray(len(infos), SIDE, SIDE, batch_size=64))
    rows, maps = [], []
    for index, (info, one) in enumerate(zip(infos, found.values(), strict=True)):
        anomaly_map = np.zeros((SIDE, SIDE), np.float16)
        anomaly_map[4:12, 4:12] = one.score
        maps.append(anomaly_map)
        rows.append(
            ScoreRow(
                image_key=info.key, etag=info.etag, content_digest=content_digest(images.read(info.key)),
                category=category, run_date=day, captured_at=NOW, model_version=version, preprocessing="p",
                score=one.score, threshold=THRESHOLD, p_value=one.p_value, is_anomalous=one.score > THRESHOLD,
                status="ok", error=None, map_store=plan.map_store, map_index=index, anomalous_area=0.0625,
                image_height=SIDE, image_width=SIDE, scored_at=scored_at, run_id="r", decision=one.decision,
                defect_boxes=[{"top": 4, "left": 4, "height": 8, "width": 8, "peak": one.score}],
            )
        )  # fmt: skip
        if one.status != "ok":
            rows[-1] = replace(rows[-1], status=one.status, error="the file is cut off", **NO_SCORE)
    write_batch_maps(store, plan.map_store, 0, np.stack(maps))
    key = part_key(category, day, version, plan.digest)
    digest, count = scores.write_part(store, key, rows)
    statuses = Counter(row.status for row in rows)
    counts = (len(rows), *(statuses[name] for name in STATUSES), sum(bool(row.is_anomalous) for row in rows))
    part = seals.SealedPart(key, count, digest)
    sealed = seals.SealedPlan(plan.manifest, plan.digest, plan.map_store, *counts, (part,), "r", scored_at)
    seals.add_plan(store, partition, sealed)
    _put_champion(store, images, category, version)
    return keys


def _put_champion(store: Store, images: Store, category: str, version: str) -> None:
    """Its normals: the first is gone by now, the second looks like the night's first image."""
    normals = [image_key(category, date(2026, 3, 1), f"{name}.png") for name in ("gone", "like-far", "other")]
    images.write(normals[1], png(0))
    images.write(normals[2], png(99))
    publish_made_up(
        store,
        category,
        version,
        side=SIDE,
        threshold={"value": THRESHOLD},
        images={"calibration": normals[:1], "train": normals[1:]},
    )
    models.promote(store, category, version, by="test", now=NOW)
