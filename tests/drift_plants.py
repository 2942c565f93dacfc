"""Sealed days of made-up scores, in control or not, and the models that gave them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from proofs.model_cards import publish_made_up
from rd_core.calibration.threshold import calibrate
from rd_core.pictures.ignored_regions import Ignore
from storage.filesystem import Store
from storage.layout import image_key, part_key
from storage.models import models
from storage.models.card import Recalibration
from storage.partitions import manifests, scores, seals
from storage.partitions.scores import ScoreRow
from storage.partitions.seals import SealedPart, SealedPlan
from storage.records import ObjectInfo, Partition
from tasks.training.ignored import ignoring
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tests.factories import SIZE

FIRST = date(2026, 3, 1)
DRAWN = {
    "brightness": (0.5, 0.02),
    "contrast": (0.2, 0.01),
    "sharpness": (1.2, 0.05),
    "edge_centre_x": (0.48, 0.01),
    "edge_centre_y": (0.51, 0.01),
    "feature_distance": (1.0, 0.1),
}
"""mean and standard deviation of the image statistics in control"""
CORNER = Ignore(polygons=(((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)),))
"""a region to ignore: a quarter of the image"""


@dataclass(frozen=True)
class Day:
    """What is different about a day. Shifts are in standard deviations."""

    images: int = 80
    score: float = 0.0
    brightness: float = 0.0
    sharpness: float = 0.0
    edge_centre_x: float = 0.0
    feature_distance: float = 0.0
    defects: int = 0
    unreadable: int = 0


def put_calibrated_model(
    store: Store,
    category: str,
    version: str = "v1",
    *,
    normals: int = 300,
    statistics: bool = True,
    level: float = 3.0,
) -> str:
    """Publish a version that can score nothing but has a card as training makes it; the version."""
    random = np.random.default_rng(1)
    held = np.sort(random.normal(level, 0.2, normals).astype(np.float32))
    drawn = {name: tuple(random.normal(*law, normals).tolist()) for name, law in DRAWN.items()}
    publish_made_up(
        store,
        category,
        version,
        version.encode(),
        side=SIZE,
        preprocessing={"version": PREPROCESSING_VERSION},
        threshold=asdict(calibrate(held, 0.02)),
        calibration={"scores": tuple(held.tolist()), "statistics": drawn if statistics else {}},
    )
    models.promote(store, category, version, by="test", now=datetime.now(UTC))
    return version


def put_recalibrated(
    store: Store, category: str, version: str, *, of: str, day: date, threshold: float = 3.5,
    ignore: Ignore | None = None,
) -> None:  # fmt: skip
    """Publish a version with the weights of another, calibrated on `day`, and promote it."""
    card = ignoring(models.read_card(store, category, of), ignore)
    made = Recalibration(of, day, day, 300, {}, 300, None, "0" * 64)
    levels = replace(card.threshold, value=threshold, low=threshold, high=threshold)
    shared = replace(card.weights, version=card.weights_version)
    models.publish_recalibrated(
        store, replace(card, version=version, threshold=levels, recalibration=made, weights=shared)
    )
    models.promote(store, category, version, by="test", now=datetime.now(UTC))


def put_days(store: Store, category: str, days: Sequence[Day], *, first: date = FIRST, version: str = "v1") -> None:
    """Seal one day after the other."""
    for number, day in enumerate(days):
        put_day(store, category, first + timedelta(days=number), day, version=version)


def put_day(
    store: Store, category: str, when: date, day: Day | None = None, *, version: str = "v1", later: int = 0,
    names: Sequence[str] | None = None, level: float = 3.0, etag: str = "e",
) -> list[ScoreRow]:  # fmt: skip
    """Score and seal images as a night would, `later` hours after the first; the rows. Names default to numbers."""
    day = day or Day()
    random = np.random.default_rng([when.toordinal(), later, len(category)])
    names = names or [f"{i:04}.png" for i in range(day.images)]
    planned_at = datetime(when.year, when.month, when.day, tzinfo=UTC) + timedelta(days=1, hours=1 + later)
    keys = [image_key(category, when, name) for name in names]
    partition = Partition(category, when, version)
    before = seals.last_plan_with(store, seals.read_seal(store, partition), keys)
    plan = manifests.publish_plan(
        store,
        partition,
        [ObjectInfo(key, etag, 1, planned_at) for key in keys],
        preprocessing=PREPROCESSING_VERSION,
        batch_size=max(1, len(keys)),
        run_id=f"run-{later}",
        planned_at=planned_at,
        supersedes=before.digest if before else None,
    )
    threshold = models.read_card(store, category, version).threshold.value
    rows = [_row(plan.map_store, plan.run_id, planned_at, version, key, etag, threshold) for key in sorted(keys)]
    rows = [_seen(row, random, day, number, level) for number, row in enumerate(rows)]
    part = part_key(category, when, version, manifests.batch_digest(plan.digest, 0))
    digest, count = scores.write_part(store, part, rows)
    bad = sum(row.status != "ok" for row in rows)
    alarms = sum(bool(row.is_anomalous) for row in rows)
    sealed = SealedPlan(
        plan.manifest, plan.digest, plan.map_store, count, count - bad, bad, 0, alarms,
        (SealedPart(part, count, digest),), plan.run_id, planned_at + timedelta(minutes=5),
        supersedes=plan.supersedes,
    )  # fmt: skip
    seals.add_plan(store, plan.partition, sealed)
    return rows


def _row(map_store: str, run_id: str, at: datetime, version: str, key: str, etag: str, threshold: float) -> ScoreRow:
    _, category, when, _ = key.split("/", 3)
    return ScoreRow(
        image_key=key, etag=etag, content_digest="0" * 64, category=category, run_date=date.fromisoformat(when),
        captured_at=at, model_version=version, preprocessing=PREPROCESSING_VERSION, score=None, threshold=threshold,
        p_value=None, is_anomalous=None, status="unreadable", error="cut off", map_store=map_store, map_index=None,
        anomalous_area=None, image_height=None, image_width=None, scored_at=at, run_id=run_id,
    )  # fmt: skip


def _seen(row: ScoreRow, random: np.random.Generator, day: Day, number: int, level: float) -> ScoreRow:
    """The first images are the unreadable ones, the next the defective ones."""
    if number < day.unreadable:
        return row
    defective = number < day.unreadable + day.defects
    score = float(np.float32(random.normal(level + 0.2 * day.score + 3.0 * defective, 0.2)))
    statistics = {
        name: mean + deviation * (random.normal() + getattr(day, name, 0.0))
        for name, (mean, deviation) in DRAWN.items()
    }
    return replace(
        row, status="ok", error=None, score=score, is_anomalous=score > row.threshold, p_value=0.5, map_index=number,
        anomalous_area=0.0, image_height=SIZE, image_width=SIZE, **statistics,
    )  # fmt: skip
