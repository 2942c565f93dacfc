"""Deciding anew about sealed scores, by the thresholds of another version with the same weights and view.

Scores and maps stay where they are: the rows of the new version name the maps of the old one.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.pictures.alignment import Offset
from rd_core.pictures.image_view import ImageView
from storage import layout
from storage.errors import CorruptObject, KeyNotFound
from storage.filesystem import Store, open_store
from storage.models import models
from storage.partitions import anomaly_maps, manifests, scores, seals
from storage.partitions.scores import ScoreRow
from storage.partitions.seals import Seal, SealedPart, SealedPlan
from storage.records import Batch, Partition, Plan, Receipt
from tasks.night.plan_batches import batches_of
from tasks.night.renew_plan import renew_plan
from tasks.night.seal_partition import seal_partition
from tasks.worker.faults import ON_STORAGE_FAULT

if TYPE_CHECKING:
    from tasks.worker.scorer import Decider


@dataclass(frozen=True)
class Redecided:
    """The result for one partition."""

    partition: Partition
    of: str | None
    """version whose scores were decided anew; None: no version with comparable scores has a complete day"""
    images: int
    """rows written now; 0 if all were there"""
    anomalous: int


@task(
    name="redecide-partition",
    task_run_name="decide {partition.category} {partition.run_date}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def redecide_partition(store_uri: str, partition: Partition, *, run_id: str, now: datetime) -> Redecided:
    """Write and seal rows of the partition's version for the comparable scores that another version has sealed.

    Threshold, p-value, decision, areas and boxes are new; where maps are past their retention, areas and boxes are
    left empty. Of several versions the one with most images is taken, then the last sealed. Plans with an image that
    the version has sealed already are left alone. Repeating it, at the same time too, writes the same bytes. Raises
    CorruptObject or KeyNotFound for damaged scores or maps, Conflict if the version scores the images meanwhile.
    """
    store = open_store(store_uri)
    source = _source(store, partition)
    if source is None:
        return Redecided(partition, None, 0, 0)
    of = source.partition.model_version
    made: dict[str, str] = {}  # digest of each plan -> digest of the one that decides it anew
    counts: Counter[str] = Counter()
    for sealed in source.plans:
        supersedes = made.get(sealed.supersedes or "")
        if _has_own(store, partition, sealed, supersedes):
            continue
        plan = _planned(store, partition, of, sealed, supersedes, run_id, now)
        made[sealed.digest] = plan.digest
        if plan.run_id != run_id:  # left by an interrupted run
            renew_plan.fn(store_uri, plan.manifest)
        receipts = [
            redecide_batch(store, batch, part) for batch, part in zip(batches_of(plan), sealed.parts, strict=True)
        ]
        seal_partition.fn(store_uri, plan, receipts, now)
        counts.update(
            images=plan.images, before=sealed.anomalous, after=sum(receipt.anomalous for receipt in receipts)
        )
    get_run_logger().info(
        "scores decided anew run=%s category=%s day=%s model=%s of=%s images=%d anomalous=%d before=%d",
        run_id, partition.category, partition.run_date, partition.model_version, of,
        counts["images"], counts["after"], counts["before"],
    )  # fmt: skip
    return Redecided(partition, of, counts["images"], counts["after"])


def source_of(store: Store, plan: Plan, index: int) -> SealedPart:
    """The sealed part that a batch of `plan` decides anew. Raises KeyNotFound if it is not sealed any more."""
    assert plan.redecides is not None  # asked of such plans alone
    seal = seals.read_seal(store, replace(plan.partition, model_version=plan.redecides))
    for sealed in seal.plans if seal else ():
        if sealed.map_store == plan.map_store and index < len(sealed.parts):
            return sealed.parts[index]
    raise KeyNotFound(
        f"model {plan.redecides} has no complete scores of {plan.partition.category} {plan.partition.run_date} any "
        f"more, whose decisions {plan.partition.model_version} renewed. Restore its seal, or remove the seal of "
        f"{plan.partition.model_version} and score the day: rd-inspect backfill"
    )


def redecide_batch(store: Store, batch: Batch, part: SealedPart) -> Receipt:
    """Write the rows of `part` with the decisions of the batch's model version. Equal inputs give equal bytes."""
    from tasks.worker.scorer import Decider  # noqa: PLC0415  # brings torch: flow processes import this module, and decide nothing

    partition = batch.plan.partition
    data = store.read(part.key)
    if hashlib.sha256(data).hexdigest() != part.digest:
        raise CorruptObject(
            f"{store.address(part.key)} is not what its seal promises, so nothing was decided by its scores. Mend "
            f"it: rd-inspect backfill --from {partition.run_date} --to {partition.run_date} --category "
            f"{partition.category} --model {batch.plan.redecides} --mend"
        )
    table, shard = scores.part_with_maps(data, store.address(part.key))
    decider = Decider.of(models.read_card(store, partition.category, partition.model_version))
    rows = scores.to_rows(table)
    changes = _decisions(store, batch.plan, rows, decider)
    new = [
        replace(
            row,
            model_version=partition.model_version,
            run_id=batch.plan.run_id,
            threshold=float(decider.threshold),
            **changes.get(number, {}),
        )
        for number, row in enumerate(rows)
    ]
    key = layout.part_key(partition.category, partition.run_date, partition.model_version, batch.digest)
    digest, count = scores.write_part(store, key, new, shard)
    statuses = Counter(row.status for row in new)
    return Receipt(
        key, digest, count, statuses["ok"], statuses["unreadable"], statuses["rejected"],
        sum(bool(row.is_anomalous) for row in new),
    )  # fmt: skip


def _source(store: Store, partition: Partition) -> Seal | None:
    """The seal whose scores are decided anew."""
    card = models.read_card(store, partition.category, partition.model_version)
    versions = models.comparable_versions(store, card)
    found = [
        seal
        for seal in seals.list_seals(store, run_date=partition.run_date, category=partition.category)
        if seal.partition.model_version in versions and seal.partition.model_version != partition.model_version
    ]
    return max(
        found, key=lambda seal: (len(seals.images_in_force(store, seal)), seal.sealed_at, seal.run_id), default=None
    )


def _has_own(store: Store, partition: Partition, sealed: SealedPlan, supersedes: str | None) -> bool:
    """Whether the partition has sealed rows of some of the plan's images that a new plan would not supersede: it was
    decided anew before, or its version has scored them itself."""
    keys = [key for (key,) in manifests.read_columns(store, sealed.manifest, "key")]
    last = seals.last_plan_with(store, seals.read_seal(store, partition), keys)
    return last is not None and last.digest != supersedes


def _planned(
    store: Store,
    partition: Partition,
    of: str,
    sealed: SealedPlan,
    supersedes: str | None,
    run_id: str,
    now: datetime,
) -> Plan:
    before = manifests.read_plan(store, sealed.manifest)
    card = models.read_card(store, partition.category, partition.model_version)
    return manifests.publish_plan(
        store,
        partition,
        manifests.read_manifest(store, sealed.manifest),
        preprocessing=card.preprocessing.version,
        batch_size=before.batch_size,
        run_id=run_id,
        planned_at=now,
        engine=before.engine,
        supersedes=supersedes,
        redecides=(of, before.map_store),
    )


def _decisions(
    store: Store, plan: Plan, rows: Sequence[ScoreRow], decider: "Decider"
) -> Mapping[int, dict[str, Any]]:
    """New values of the columns that depend on thresholds, by number of the scored rows."""
    from tasks.scoring.picture_scores import decide  # noqa: PLC0415  # brings torch, which flow processes do without

    scored = [number for number, row in enumerate(rows) if row.score is not None]
    if not scored:
        return {}
    values = np.array([rows[number].score for number in scored], np.float32)
    maps = _maps(store, plan, [rows[number].map_index for number in scored])
    view = ImageView.from_dict(decider.card.preprocessing.view)
    if maps is None:
        decided = decide(decider, values, np.zeros((len(scored), 1, 1), np.float32), [None] * len(scored))
    else:
        decided = decide(decider, values, maps, [_counted(view, rows[n], decider.map_size) for n in scored])
    changes: dict[int, dict[str, Any]] = {}
    for number, value, own in zip(scored, values, decided, strict=True):
        row = rows[number]
        height, width = row.image_height, row.image_width
        extent: dict[str, Any] = {"anomalous_area": None, "defect_area": None, "defect_boxes": None}
        if maps is not None and height is not None and width is not None:
            boxes = view.boxes(own.regions, (height, width), decider.map_size, Offset.of_row(vars(row)))
            extent = {
                "anomalous_area": own.anomalous_area,
                "defect_area": own.defect_area,
                "defect_boxes": boxes,
            }
        changes[number] = {
            "p_value": own.p_value,
            "is_anomalous": bool(value > decider.threshold),
            "decision": own.decision,
            **extent,
        }
    return changes


def _counted(view: ImageView, row: ScoreRow, map_size: tuple[int, int]) -> NDArray[np.bool_] | None:
    if row.image_height is None or row.image_width is None:
        return None
    return view.counted((row.image_height, row.image_width), map_size, Offset.of_row(vars(row)))


def _maps(store: Store, plan: Plan, indices: Sequence[int | None]) -> NDArray[np.float32] | None:
    """The maps, float32 (B, H, W); None if they are past their retention. Raises CorruptObject, KeyNotFound."""
    if store.info(layout.expired_maps_key(plan.map_store)) is not None:
        return None
    return anomaly_maps.read_maps(store, plan.map_store, [i for i in indices if i is not None]).astype(np.float32)
