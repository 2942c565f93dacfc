"""Seals: the marker, written last, of completely scored plans of a partition."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from storage import layout
from storage.errors import Conflict, CorruptObject, InvalidKey, KeyNotFound, ObjectDenied, StorageError
from storage.partitions.manifests import read_columns
from storage.records import TORCH, Partition
from storage.stores import checked_json, json_records
from storage.stores.store import Store
from storage.stores.swap import swap

SCHEMA_VERSION = 1
Unread = Callable[[str, StorageError], None]
"""called with the key of an unreadable seal, and why"""


@dataclass(frozen=True)
class SealedPart:
    """One Parquet part of a sealed plan."""

    key: str
    rows: int
    digest: str
    """SHA-256 (hex) of the part's bytes"""


@dataclass(frozen=True)
class SealedPlan:
    """A plan with a row for every image."""

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
    manifest_digest: str = ""
    """SHA-256 (hex) of the manifest's bytes"""
    supersedes: str | None = None
    """the plan's"""

    @property
    def library(self) -> str:
        """The engine without its version."""
        return self.engine.partition(" ")[0]


@dataclass(frozen=True)
class Seal:
    """The sealed plans of a partition. Late images make a further plan."""

    schema_version: int
    partition: Partition
    sealed_at: datetime
    """UTC; of the latest plan"""
    run_id: str
    """of the latest plan"""
    plans: tuple[SealedPlan, ...]
    """in the order of sealing, with rising `sealed_at`; the last plan with an image is in force for it"""


def read_seal(store: Store, partition: Partition) -> Seal | None:
    """The partition's seal, or None."""
    key = _key(partition)
    try:
        return from_bytes(store.read(key), store.address(key))
    except KeyNotFound:
        return None


def add_plan(store: Store, partition: Partition, sealed_plan: SealedPlan) -> Seal:
    """Seal one more plan and return the seal in force; repeating it changes nothing.

    `sealed_at` is later than that of earlier plans, whatever the clock says. Raises Conflict if another plan than the
    superseded one had some of its images last, because they were sealed meanwhile, or if another library scored the
    partition.
    """
    key = _key(partition)
    in_force: Seal | None = None
    mine: set[str] = set()

    def change(data: bytes | None) -> bytes | None:
        nonlocal in_force, mine
        if data is None:
            in_force = _sealed(Seal(SCHEMA_VERSION, partition, sealed_plan.sealed_at, "", ()), sealed_plan)
            return _to_bytes(in_force)
        in_force = from_bytes(data, store.address(key))
        if any(plan.digest == sealed_plan.digest for plan in in_force.plans):
            return None
        _refuse_other_library(in_force, sealed_plan)
        mine = mine or _keys(store, sealed_plan)
        _refuse_overlap(store, in_force, sealed_plan, mine)
        in_force = _sealed(in_force, sealed_plan)
        return _to_bytes(in_force)

    unfinished = (
        f"to seal plan {sealed_plan.digest}: it is scored but not complete. Find out who writes it, and run again; "
        "nothing is scored twice."
    )
    swap(store, key, change, unfinished=unfinished)
    assert in_force is not None  # `change` was asked
    return in_force


def images_in_force(store: Store, seal: Seal) -> dict[str, str]:
    """Image key -> etag of every image of the seal, in the version sealed last."""
    etags: dict[str, str] = {}
    for plan in seal.plans:
        etags.update(read_columns(store, plan.manifest, "key", "etag"))
    return etags


def last_plan_with(store: Store, seal: Seal | None, keys: Collection[str]) -> SealedPlan | None:
    """The sealed plan that had one of these images last."""
    wanted = set(keys)
    plans = reversed(seal.plans if seal else ())
    return next((plan for plan in plans if not wanted.isdisjoint(_keys(store, plan))), None)


def list_seals(
    store: Store, *, run_date: date | None = None, category: str | None = None, unread: Unread | None = None
) -> Iterator[Seal]:
    """Seals of a day and category, or all, in the order of their keys, by day first. `unread` is called for
    unreadable ones; without it they raise."""
    prefix = layout.seals_prefix(run_date, category)
    for info in store.list(prefix):
        of = layout.seal_partition(info.key)
        if of is None or category not in (None, of[0]):
            continue
        try:
            yield from_bytes(store.read(info.key), store.address(info.key))
        except KeyNotFound:
            continue  # removed since it was listed
        except (CorruptObject, ObjectDenied, InvalidKey) as e:
            if unread is None:
                raise
            unread(info.key, e)


def _key(partition: Partition) -> str:
    return layout.seal_key(partition.category, partition.run_date, partition.model_version)


def _sealed(seal: Seal, plan: SealedPlan) -> Seal:
    """Times must rise, because readers go by them and machines' clocks differ."""
    if seal.plans:
        plan = replace(plan, sealed_at=max(plan.sealed_at, seal.plans[-1].sealed_at + timedelta(microseconds=1)))
    return replace(seal, sealed_at=plan.sealed_at, run_id=plan.run_id, plans=(*seal.plans, plan))


def _keys(store: Store, plan: SealedPlan) -> set[str]:
    return {key for (key,) in read_columns(store, plan.manifest, "key")}


def _refuse_other_library(seal: Seal, plan: SealedPlan) -> None:
    for other in seal.plans:
        if other.library != plan.library:
            raise Conflict(
                f"plan {plan.digest} was scored by {plan.engine}, and plan {other.digest} of the same partition by "
                f"{other.engine}: their scores are not to be mixed, so it is not completed. Plan again; what is left "
                f"is scored by {other.library}."
            )


def _refuse_overlap(store: Store, seal: Seal, plan: SealedPlan, mine: set[str]) -> None:
    other = last_plan_with(store, seal, mine)
    if other is not None and other.digest != plan.supersedes:
        both = mine & _keys(store, other)
        raise Conflict(
            f"plan {plan.digest} has {len(both)} images, such as {min(both)!r}, that plan {other.digest} "
            f"of run {other.run_id} has sealed meanwhile: they would count twice, so it is not completed. "
            "Plan again; only images without a sealed row are left."
        )


def _to_bytes(seal: Seal) -> bytes:
    return checked_json.to_bytes(json_records.to_json(seal))


def from_bytes(data: bytes, address: str) -> Seal:
    """The seal in an object's bytes; `address` ends in its key. Raises CorruptObject, also for a seal of another
    partition than its key's."""
    content = checked_json.from_bytes(data, address, "a seal", known_format=SCHEMA_VERSION)
    try:
        seal = json_records.from_json(Seal, content)
        key = _key(seal.partition)
    except (ValueError, InvalidKey) as e:
        raise CorruptObject(
            f"{address} is not a seal ({e}), so it is unknown what is scored. Remove it and run the night again: "
            "finished batches are kept."
        ) from e
    if address != key and not address.endswith(f"/{key}"):
        raise CorruptObject(
            f"{address} is the seal of {key}, so it says nothing of the partition whose name it has. Put it back "
            "where it belongs, or remove it and run the night again: finished batches are kept."
        )
    return seal
