"""Whether a sealed partition holds what its seal promises: every part, every row, every map."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage import anomaly_maps, layout, manifests, models, scores
from storage.errors import CorruptObject, KeyNotFound
from storage.records import ObjectInfo, Partition, Plan
from storage.seals import Seal, SealedPart, SealedPlan
from storage.store import Store

_COLUMNS = ("image_key", "etag", "status", "score", "map_store", "map_index")


@dataclass(frozen=True)
class DamagedBatch:
    """One batch of a sealed plan that cannot be read as it was sealed."""

    plan: Plan
    index: int
    """of the batch within the plan"""
    part: SealedPart
    """as the seal names it"""
    where: str
    """key of what is damaged: the part, or the map store"""
    why: str


@dataclass(frozen=True)
class DamagedManifest:
    """A manifest that a seal names and that cannot be read, so that its plan's rows cannot be compared."""

    partition: Partition
    where: str
    """key"""
    why: str


@dataclass(frozen=True)
class _Maps:
    """What a look at a map store tells."""

    why_damaged: str | None
    """of the array as a whole"""
    shards: frozenset[int]
    """those whose object is there"""
    expired: bool
    """removed on purpose: none is expected"""


def partition_damage(store: Store, seal: Seal, *, deep: bool) -> Iterator[DamagedBatch | DamagedManifest]:
    """What of a sealed partition is damaged, in the order of its plans and parts.

    Shallow: each part is there and has one row for each image of its batch, in the manifest's version; the map array
    has the right shape, and a shard where a row has a score. `deep` reads all bytes: each part has the seal's digest,
    and each map's maximum is its row's score, both in float16.
    """
    size = _map_size(store, seal.partition)
    for sealed in seal.plans:
        try:
            plan = manifests.read_plan(store, sealed.manifest)
            planned = manifests.read_manifest(store, sealed.manifest)
        except (CorruptObject, KeyNotFound) as e:
            yield DamagedManifest(seal.partition, sealed.manifest, str(e))
            continue
        maps = _look_at_maps(store, sealed, plan, size)
        for index, part in enumerate(sealed.parts):
            images = planned[index * plan.batch_size : (index + 1) * plan.batch_size]
            try:
                rows = _rows(store, part, images, deep=deep)
            except (CorruptObject, KeyNotFound) as e:
                yield DamagedBatch(plan, index, part, part.key, str(e))
                continue
            why = None if maps.expired else _why_maps_are_damaged(store, plan, index, rows, maps, deep=deep)
            if why:
                yield DamagedBatch(plan, index, part, plan.map_store, why)


def _rows(store: Store, part: SealedPart, images: Sequence[ObjectInfo], *, deep: bool) -> list[dict[str, Any]]:
    """The part's rows in the order of its maps. CorruptObject unless they are those of its images, once each."""
    if deep:
        digest = hashlib.sha256(store.read(part.key)).hexdigest()
        if digest != part.digest:
            raise CorruptObject(f"its SHA-256 is {digest}, and the seal promises {part.digest}")
    rows: list[dict[str, Any]] = scores.read_columns(store, part.key, _COLUMNS).to_pylist()
    if len(rows) != part.rows:
        raise CorruptObject(f"it has {len(rows)} rows, and the seal promises {part.rows}")
    found = Counter((row["image_key"], row["etag"]) for row in rows)
    planned = Counter((image.key, image.etag) for image in images)
    if found != planned:
        odd = sorted(key for key, _ in (found - planned) + (planned - found))
        raise CorruptObject(
            f"its rows are not those of the manifest's images, once each: {len(odd)} differ, such as {odd[0]!r}"
        )
    return rows


def _map_size(store: Store, partition: Partition) -> tuple[int, int] | None:
    """Height and width the model's maps have; None if its card does not tell, which is a finding of its own."""
    try:
        model = models.read_card(store, partition.category, partition.model_version)["model"]
        return model["image_height"], model["image_width"]
    except (CorruptObject, KeyNotFound, KeyError, TypeError):
        return None


def _look_at_maps(store: Store, sealed: SealedPlan, plan: Plan, size: tuple[int, int] | None) -> _Maps:
    if store.info(layout.expired_maps_key(sealed.map_store)) is not None:
        return _Maps(None, frozenset(), expired=True)
    prefix = f"{sealed.map_store}/c/"
    names = (info.key.removeprefix(prefix).split("/")[0] for info in store.list(prefix))
    shards = frozenset(int(name) for name in names if name.isdigit())
    return _Maps(_why_array_is_wrong(store, sealed.map_store, plan, size), shards, expired=False)


def _why_array_is_wrong(store: Store, key: str, plan: Plan, size: tuple[int, int] | None) -> str | None:
    try:
        array = json.loads(store.read(f"{key}/zarr.json"))
        shape, shard = array["shape"], array["chunk_grid"]["configuration"]["chunk_shape"]
        kind = array["data_type"]
    except KeyNotFound:
        return "the array's description, zarr.json, is gone"
    except (ValueError, KeyError, TypeError) as e:
        return f"the array's description, zarr.json, does not read ({e!r})"
    height, width = size or tuple(shape[1:])
    wanted = [plan.images, height, width], [plan.batch_size, height, width], "float16"
    found = shape, shard, kind
    return None if found == wanted else f"the array is {found}, and the plan and the model make it {wanted}"


def _why_maps_are_damaged(
    store: Store, plan: Plan, index: int, rows: Sequence[dict[str, Any]], maps: _Maps, *, deep: bool
) -> str | None:
    scored = [(i, row) for i, row in enumerate(rows, index * plan.batch_size) if row["status"] == "ok"]
    for i, row in scored:
        if (row["map_store"], row["map_index"]) != (plan.map_store, i):
            return (
                f"the row of {row['image_key']!r} names map {row['map_index']} of {row['map_store']}, not {i} of here"
            )
    if not scored or maps.why_damaged:
        return maps.why_damaged
    if index not in maps.shards:
        return f"shard {index} is gone, with the maps of {len(scored)} scored images"
    return _why_values_are_wrong(store, plan.map_store, scored) if deep else None


def _why_values_are_wrong(store: Store, key: str, scored: Sequence[tuple[int, dict[str, Any]]]) -> str | None:
    try:
        found = anomaly_maps.read_maps(store, key, [i for i, _ in scored])
    except (CorruptObject, KeyNotFound) as e:
        return str(e)
    highest = found.max(axis=(1, 2)).astype(np.float16)  # NaN where a map has one
    wanted = np.array([row["score"] for _, row in scored], np.float32).astype(np.float16)
    wrong = np.flatnonzero(highest != wanted)
    if not len(wrong):
        return None
    i, row = scored[wrong[0]]
    return (
        f"{len(wrong)} maps are not those of their rows: map {i} has the maximum {highest[wrong[0]]}, and the score "
        f"of {row['image_key']!r} is {wanted[wrong[0]]}"
    )
