"""Whether a sealed partition has all that its seal promises: parts, rows, maps."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from storage import layout
from storage.errors import OF_ONE_OBJECT, CorruptObject, KeyNotFound
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import anomaly_maps, manifests, scores
from storage.partitions.seals import Seal, SealedPart, SealedPlan
from storage.records import ObjectInfo, Partition, Plan, Shard
from storage.stores.store import Store
from storage.verification.seal_promises import why_counts_are_wrong, why_plan_is_wrong, why_seal_is_wrong

_OF_PARTITION = ("category", "run_date", "model_version")
_COLUMNS = (
    *("image_key", "etag", "status", "score", "threshold", "is_anomalous", "map_store", "map_index"),
    *_OF_PARTITION,
)


@dataclass(frozen=True)
class DamagedBatch:
    """One batch of a sealed plan that cannot be read."""

    plan: Plan
    index: int
    """batch index within the plan"""
    part: SealedPart
    """the part named by the seal"""
    where: str
    """key of the damaged object: the part, or the map store"""
    why: str


@dataclass(frozen=True)
class DamagedDescription:
    """The description of a plan's map array, zarr.json, is missing or wrong. The maps may be intact."""

    plan: Plan
    where: str
    """key of the map store"""
    why: str
    wanted: bytes | None
    """the right description; None if the model's card cannot be read, which is a finding of its own"""


@dataclass(frozen=True)
class DamagedManifest:
    """An unreadable sealed manifest: its plan's rows cannot be compared."""

    partition: Partition
    where: str
    """key"""
    why: str


@dataclass(frozen=True)
class WrongSeal:
    """A readable seal with wrong contents: fewer rows or parts than planned, or other counts."""

    partition: Partition
    where: str
    """key"""
    why: str


Damage = DamagedBatch | DamagedDescription | DamagedManifest | WrongSeal


@dataclass(frozen=True)
class _Maps:
    """The state of a map store."""

    description: bytes | None
    """the description for reading maps"""
    shards: Mapping[int, int]
    """size in bytes of each existing shard"""
    of_score: bool
    """whether a map's maximum is its row's score"""
    expired: bool = False
    """removed on purpose: no maps are expected"""


def partition_damage(store: Store, seal: Seal, *, deep: bool) -> Iterator[Damage]:
    """The damage of a sealed partition, in the order of its plans and parts.

    Shallow: the seal's numbers match its manifests and parts; each part has one row for each image of its batch, in
    the manifest's version and with the model's threshold; the map array's description matches plan and model, and
    each batch's maps exist with the size in its part. `deep` reads all bytes: digests of parts, manifests and shards
    match, and each map's maximum is its row's score, both in float16, if the model card says so.
    """
    where = seal.partition
    key = layout.seal_key(where.category, where.run_date, where.model_version)
    card = _card(store, where)
    if why := why_seal_is_wrong(seal):
        yield WrongSeal(where, key, why)
    for sealed in seal.plans:
        try:
            plan, planned = _planned(store, sealed, deep=deep)
        except OF_ONE_OBJECT as e:
            yield DamagedManifest(where, sealed.manifest, str(e))
            continue
        if why := why_plan_is_wrong(sealed, plan, where):
            yield WrongSeal(where, key, why)
            continue
        yield from _plan_damage(store, sealed, plan, planned, card, deep=deep)


def _planned(store: Store, sealed: SealedPlan, *, deep: bool) -> tuple[Plan, list[ObjectInfo]]:
    """The plan and images of a sealed manifest. Raises CorruptObject unless they match."""
    if deep:
        _refuse_other_bytes(store.read(sealed.manifest), sealed.manifest_digest)
    plan, planned = manifests.read_plan(store, sealed.manifest), manifests.read_manifest(store, sealed.manifest)
    if plan.images != len(planned) or plan.batch_size < 1:
        raise CorruptObject(
            f"it names {plan.images!r} images in batches of {plan.batch_size!r}, and has {len(planned)}"
        )
    return plan, planned


def _plan_damage(
    store: Store, sealed: SealedPlan, plan: Plan, planned: Sequence[ObjectInfo], card: ModelCard | None, *, deep: bool
) -> Iterator[Damage]:
    maps, damage = _look_at_maps(store, plan, card)
    if damage:
        yield damage
    statuses: Counter[str] = Counter()
    anomalous, whole = 0, True
    for index, part in enumerate(sealed.parts):
        images = planned[index * plan.batch_size : (index + 1) * plan.batch_size]
        try:
            rows, shard = _rows(store, part, images, plan.partition, card, deep=deep)
        except OF_ONE_OBJECT as e:
            whole = False
            yield DamagedBatch(plan, index, part, part.key, str(e))
            continue
        statuses.update(row["status"] for row in rows)
        anomalous += sum(row["is_anomalous"] is True for row in rows)
        why = None if maps.expired else _why_maps_are_damaged(store, plan, index, rows, shard, maps, deep=deep)
        if why:
            yield DamagedBatch(plan, index, part, plan.map_store, why)
    if whole and (why := why_counts_are_wrong(sealed, statuses, anomalous)):
        where = plan.partition
        yield WrongSeal(where, layout.seal_key(where.category, where.run_date, where.model_version), why)


def _rows(
    store: Store,
    part: SealedPart,
    images: Sequence[ObjectInfo],
    partition: Partition,
    card: ModelCard | None,
    *,
    deep: bool,
) -> tuple[list[dict[str, Any]], Shard | None]:
    """The part's rows in the order of its maps, and its maps' object. Raises CorruptObject unless the rows are those
    of its images, once each, of this partition and model."""
    table: pa.Table
    if deep:
        data = store.read(part.key)
        _refuse_other_bytes(data, part.digest)
        table, shard = scores.part_with_maps(data, store.address(part.key))
        table = table.select(_COLUMNS)
    else:
        table, shard = scores.columns_with_maps(store, part.key, _COLUMNS)
    rows: list[dict[str, Any]] = table.to_pylist()
    if len(rows) != part.rows:
        raise CorruptObject(f"it has {len(rows)} rows, and the seal promises {part.rows}")
    counts = Counter((row["image_key"], row["etag"]) for row in rows)
    planned = Counter((image.key, image.etag) for image in images)
    if counts != planned:
        odd = sorted(key for key, _ in (counts - planned) + (planned - counts))
        raise CorruptObject(
            f"its rows are not those of the manifest's images, once each: {len(odd)} differ, such as {odd[0]!r}"
        )
    for row in rows:
        if why := _why_row_is_wrong(row, partition, card):
            raise CorruptObject(f"the row of {row['image_key']!r} {why}")
    return rows, shard


def _why_row_is_wrong(row: Mapping[str, Any], partition: Partition, card: ModelCard | None) -> str | None:
    named = Partition(*(row[name] for name in _OF_PARTITION))
    if named != partition:
        return f"is of {named}"
    score, threshold = row["score"], row["threshold"]
    if card and (threshold is None or np.float32(threshold) != np.float32(card.threshold.value)):
        return f"was decided with threshold {threshold}, but the model card has {card.threshold.value}"
    if row["status"] != "ok":
        return None
    if score is None or threshold is None or row["is_anomalous"] != (score > threshold):
        return f"has is_anomalous = {row['is_anomalous']} for score {score} and threshold {threshold}"
    return None


def _refuse_other_bytes(data: bytes, promised: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != promised:
        raise CorruptObject(f"its SHA-256 is {digest}, and the seal promises {promised}")


def _card(store: Store, partition: Partition) -> ModelCard | None:
    """None if it is unreadable, which is a finding of its own."""
    try:
        return models.read_card(store, partition.category, partition.model_version)
    except OF_ONE_OBJECT:
        return None


def _look_at_maps(store: Store, plan: Plan, card: ModelCard | None) -> tuple[_Maps, DamagedDescription | None]:
    key = plan.map_store
    if store.info(layout.expired_maps_key(key)) is not None:
        return _Maps(None, {}, False, expired=True), None
    prefix = f"{key}/c/"
    shards = {
        int(name): info.size
        for info in store.list(prefix)
        if (name := info.key.removeprefix(prefix).split("/")[0]).isdecimal()
        and info.key == anomaly_maps.shard_key(key, int(name))
    }
    of_score = card is not None and card.maps.maximum_is_score
    wanted = _description(store, plan, card)
    try:
        description = store.read(anomaly_maps.description_key(key))
    except KeyNotFound:
        why = "the array's description, zarr.json, is missing"
        return _Maps(wanted, shards, of_score), DamagedDescription(plan, key, why, wanted)
    except OF_ONE_OBJECT as e:
        return _Maps(wanted, shards, of_score), DamagedDescription(plan, key, str(e), wanted)
    wrong = anomaly_maps.why_description_is_wrong(description, wanted or description)
    damage = DamagedDescription(plan, key, wrong, wanted) if wrong else None
    return _Maps(wanted or (None if wrong else description), shards, of_score), damage


def _description(store: Store, plan: Plan, card: ModelCard | None) -> bytes | None:
    """The right description of the plan's maps; None if it cannot be told. Maps of scores that are decided anew are
    described by the plan and the model that made them."""
    if plan.redecides is not None:
        try:
            plan = manifests.read_plan(store, layout.maps_manifest_key(plan.map_store))
            card = models.read_card(store, plan.partition.category, plan.partition.model_version)
        except OF_ONE_OBJECT:  # a finding of its own
            return None
    return anomaly_maps.MapArray.of(plan, card.maps, card.map_threshold).describe() if card else None


def _why_maps_are_damaged(
    store: Store,
    plan: Plan,
    index: int,
    rows: Sequence[dict[str, Any]],
    shard: Shard | None,
    maps: _Maps,
    *,
    deep: bool,
) -> str | None:
    scored = [(i, row) for i, row in enumerate(rows) if row["status"] == "ok"]
    for i, row in scored:
        number = index * plan.batch_size + i
        if (row["map_store"], row["map_index"]) != (plan.map_store, number):
            named = f"map {row['map_index']} of {row['map_store']}"
            return f"the row of {row['image_key']!r} names {named}, not {number} of here"
    if index not in maps.shards:
        return f"shard {index} is missing, with the maps of {len(scored)} scored images" if scored or shard else None
    if shard and maps.shards[index] != shard.size:
        return f"shard {index} has {maps.shards[index]} bytes, and its score file names {shard.size}"
    return _why_shard_is_wrong(store, plan, index, scored, shard, maps) if deep else None


def _why_shard_is_wrong(
    store: Store,
    plan: Plan,
    index: int,
    scored: Sequence[tuple[int, dict[str, Any]]],
    shard: Shard | None,
    maps: _Maps,
) -> str | None:
    try:
        data = store.read(anomaly_maps.shard_key(plan.map_store, index))
        shard_now = anomaly_maps.shard_of(data)
        if shard and shard_now != shard:
            return f"shard {index} has the SHA-256 {shard_now.digest}, and its score file names {shard.digest}"
        if not scored or maps.description is None:
            return None
        values = anomaly_maps.maps_in_shard(store, plan.map_store, index, data, maps.description)
        if len(values) <= scored[-1][0]:
            return f"shard {index} has {len(values)} maps, too few for its score file's rows"
    except OF_ONE_OBJECT as e:
        return str(e)
    return _why_values_are_wrong(values, index * plan.batch_size, scored, maps.of_score)


def _why_values_are_wrong(
    maps: np.ndarray, first: int, scored: Sequence[tuple[int, dict[str, Any]]], of_score: bool
) -> str | None:
    highest = maps[[i for i, _ in scored]].max(axis=(1, 2))  # NaN where a map has one
    if not of_score:
        without = [row["image_key"] for (_, row), value in zip(scored, highest, strict=True) if np.isnan(value)]
        return f"{len(without)} maps of scored images have no values, such as {without[0]!r}'s" if without else None
    wanted = np.array([row["score"] for _, row in scored], np.float32).astype(np.float16)
    wrong = np.flatnonzero(highest != wanted)
    if not len(wrong):
        return None
    i, row = scored[wrong[0]]
    return (
        f"{len(wrong)} maps are not those of their rows: map {first + i} has the maximum {highest[wrong[0]]}, and "
        f"the score of {row['image_key']!r} is {wanted[wrong[0]]}"
    )
