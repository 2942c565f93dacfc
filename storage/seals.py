"""Seals: the marker, written last, that says which plans of a partition are completely scored."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime

from storage import layout
from storage.errors import Conflict, CorruptObject, KeyNotFound
from storage.manifests import read_image_versions
from storage.records import TORCH, Partition
from storage.store import Store
from storage.swap import swap

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class SealedPart:
    """One Parquet part of a sealed plan."""

    key: str
    rows: int
    digest: str
    """SHA-256 (hex) of the part's bytes"""


@dataclass(frozen=True)
class SealedPlan:
    """A plan all of whose images have a row."""

    manifest: str
    """key of the manifest"""
    digest: str
    """the plan's"""
    map_store: str
    """key of the zarr array"""
    images: int
    """ok + unreadable + rejected"""
    ok: int
    unreadable: int
    rejected: int
    anomalous: int
    """of the ok ones"""
    parts: tuple[SealedPart, ...]
    run_id: str
    """of the run that sealed it"""
    sealed_at: datetime
    """UTC"""
    engine: str = TORCH
    """the plan's"""

    @property
    def library(self) -> str:
        """The engine without its version."""
        return self.engine.partition(" ")[0]


@dataclass(frozen=True)
class Seal:
    """The sealed plans of a partition. Images that arrive later make a further plan."""

    schema_version: int
    partition: Partition
    sealed_at: datetime
    """UTC; of the latest plan"""
    run_id: str
    """of the latest plan"""
    plans: tuple[SealedPlan, ...]
    """in the order they were sealed"""


def read_seal(store: Store, partition: Partition) -> Seal | None:
    """The partition's seal, or None if nothing of it is sealed."""
    key = _key(partition)
    try:
        return from_bytes(store.read(key), store.address(key))
    except KeyNotFound:
        return None


def add_plan(store: Store, partition: Partition, sealed_plan: SealedPlan) -> Seal:
    """Seal one more plan and return the seal in force; sealing the same plan again changes nothing.

    Conflict if a plan sealed before or meanwhile covers some of the same images in the same version: their
    rows would count twice. Conflict if it was scored by another library: a partition is scored by one.
    """
    key = _key(partition)
    in_force: Seal | None = None
    mine: set[tuple[str, str]] = set()

    def change(data: bytes | None) -> bytes | None:
        nonlocal in_force, mine
        if data is None:
            in_force = _sealed(Seal(SCHEMA_VERSION, partition, sealed_plan.sealed_at, "", ()), sealed_plan)
            return _to_bytes(in_force)
        in_force = from_bytes(data, store.address(key))
        if any(plan.digest == sealed_plan.digest for plan in in_force.plans):
            return None
        _refuse_other_library(in_force, sealed_plan)
        mine = mine or read_image_versions(store, sealed_plan.manifest)
        _refuse_overlap(store, in_force, sealed_plan, mine)
        in_force = _sealed(in_force, sealed_plan)
        return _to_bytes(in_force)

    unfinished = (
        f"to seal plan {sealed_plan.digest}: it is scored but not sealed. Find out who writes it, and run again; "
        "nothing is scored twice."
    )
    swap(store, key, change, unfinished=unfinished)
    assert in_force is not None  # `change` was asked
    return in_force


def sealed_images(store: Store, seal: Seal) -> set[tuple[str, str]]:
    """(image key, etag) of every image the seal covers."""
    return set().union(*(read_image_versions(store, plan.manifest) for plan in seal.plans))


def list_seals(store: Store, *, run_date: date | None = None, category: str | None = None) -> Iterator[Seal]:
    """Seals of that day and category, or of all, in the order of their keys: by day first."""
    prefix = layout.seals_prefix(run_date, category)
    for info in store.list(prefix):
        if not info.key.endswith(".json"):
            continue
        if category is not None and f"/category={category}/" not in info.key:
            continue
        try:
            yield from_bytes(store.read(info.key), store.address(info.key))
        except KeyNotFound:
            continue  # removed since it was listed


def _key(partition: Partition) -> str:
    return layout.seal_key(partition.category, partition.run_date, partition.model_version)


def _sealed(seal: Seal, plan: SealedPlan) -> Seal:
    return replace(seal, sealed_at=plan.sealed_at, run_id=plan.run_id, plans=(*seal.plans, plan))


def _refuse_other_library(seal: Seal, plan: SealedPlan) -> None:
    for other in seal.plans:
        if other.library != plan.library:
            raise Conflict(
                f"plan {plan.digest} was scored by {plan.engine}, and plan {other.digest} of the same partition by "
                f"{other.engine}: their scores are not to be mixed, so it is not sealed. Plan again; what is left is "
                f"scored by {other.library}."
            )


def _refuse_overlap(store: Store, seal: Seal, plan: SealedPlan, mine: set[tuple[str, str]]) -> None:
    for other in seal.plans:
        both = mine & read_image_versions(store, other.manifest)
        if both:
            raise Conflict(
                f"plan {plan.digest} has {len(both)} images, such as {min(both)[0]!r}, that plan {other.digest} "
                f"of run {other.run_id} has sealed meanwhile: they would count twice, so it is not sealed. "
                "Plan again; only images without a sealed row are left."
            )


def _to_bytes(seal: Seal) -> bytes:
    return (json.dumps(asdict(seal), default=_plain, sort_keys=True, indent=2) + "\n").encode()


def _plain(value: object) -> str:
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    raise TypeError(f"a seal cannot keep {type(value).__name__}")


def from_bytes(data: bytes, address: str) -> Seal:
    """The seal in an object's bytes; `address` names it in messages. CorruptObject if they are none."""
    try:
        kept = json.loads(data)
        where = kept["partition"]
        return Seal(
            schema_version=kept["schema_version"],
            partition=Partition(where["category"], date.fromisoformat(where["run_date"]), where["model_version"]),
            sealed_at=datetime.fromisoformat(kept["sealed_at"]),
            run_id=kept["run_id"],
            plans=tuple(_plan(plan) for plan in kept["plans"]),
        )
    except (KeyError, ValueError, TypeError) as e:
        raise CorruptObject(
            f"{address} is not a seal ({e!r}), so it is unknown what is scored. Remove it and run the night again: "
            "finished parts are kept."
        ) from e


def _plan(kept: dict) -> SealedPlan:
    return SealedPlan(
        **{
            **kept,
            "sealed_at": datetime.fromisoformat(kept["sealed_at"]),
            "parts": tuple(SealedPart(**part) for part in kept["parts"]),
        }
    )
