"""What a day's seals name or could name: only objects beyond doubt may be removed."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from storage import layout
from storage.errors import OF_ONE_OBJECT
from storage.partitions import manifests, scores, seals
from storage.partitions.manifests import batch_digest
from storage.partitions.seals import Seal
from storage.records import Partition, Plan
from storage.stores.store import Store
from storage.verification.seal_promises import why_plan_is_wrong, why_seal_is_wrong

_MENDED_AT_MOST = 20
"""how often a batch may have been mended: each mend derives the part's name from the one before"""


@dataclass(frozen=True)
class Claims:
    """The claims of a category's day."""

    named: frozenset[str]
    """keys of manifests, map stores and parts named by a seal"""
    unread: tuple[str, ...]
    """why seals cannot be read, a sentence each; what they name is unknown"""
    seals: tuple[Seal, ...]
    """the readable seals"""


@dataclass(frozen=True)
class WholePlan:
    """A completely scored plan that no seal names: its seal is lost, or the run ended just before it."""

    plan: Plan
    parts: tuple[str, ...]
    """their keys"""

    @property
    def keys(self) -> frozenset[str]:
        return frozenset((self.plan.manifest, self.plan.map_store, *self.parts))


def read_claims(store: Store, category: str, day: date) -> Claims:
    """All objects that the day's seals name. Faults of the store are raised."""
    unread: list[str] = []
    seals_read: list[Seal] = []
    for info in store.list(layout.seals_prefix(day, category)):
        of = layout.seal_partition(info.key)
        if of is None:
            unread.append(f"{info.key} lies among its seals and has no seal's name")
            continue
        try:
            seal = seals.read_seal(store, Partition(*of))
            if seal is not None:
                seals_read.append(seal)
        except OF_ONE_OBJECT as e:
            unread.append(str(e))
    named = {
        key
        for seal in seals_read
        for plan in seal.plans
        for key in (plan.manifest, plan.map_store, *(part.key for part in plan.parts))
    }
    return Claims(frozenset(named), tuple(unread), tuple(seals_read))


def doubts(store: Store, claims: Claims) -> list[str]:
    """Why a seal could name more than it does: it is unreadable, says less than its manifest, or the manifest is
    unreadable. Then nothing of the day may be removed."""
    reasons = list(claims.unread)
    for seal in claims.seals:
        where = seal.partition
        address = store.address(layout.seal_key(where.category, where.run_date, where.model_version))
        reasons += [f"{address}: {why}" for why in _contradictions(store, seal)]
    return reasons


def _contradictions(store: Store, seal: Seal) -> Iterator[str]:
    if why := why_seal_is_wrong(seal):
        yield why
    for sealed in seal.plans:
        try:
            plan = manifests.read_plan(store, sealed.manifest)
            why = why_plan_is_wrong(sealed, plan, seal.partition)
        except OF_ONE_OBJECT as e:
            why = str(e)
        if why:
            yield why


def whole_plans(store: Store, claims: Claims, unnamed: Collection[str], parts: Collection[str]) -> list[WholePlan]:
    """Those of these unsealed manifests that these parts score completely, with an image that no seal of their model
    version has in the same version (same etag or bytes)."""
    sealed: defaultdict[Partition, set[tuple]] = defaultdict(set)
    whole = []
    for key in sorted(unnamed):
        try:
            plan = manifests.read_plan(store, key)
            images = set(manifests.read_columns(store, key, "key", "etag"))
        except OF_ONE_OBJECT:
            continue  # `rd-inspect verify` tells of it
        theirs = _parts_of(plan, parts)
        if theirs is None:
            continue
        if plan.partition not in sealed:
            sealed[plan.partition] = _sealed_images(store, claims.seals, plan.partition)
        if not images <= sealed[plan.partition] and not _is_sealed_as_the_same(store, claims.seals, plan, theirs):
            whole.append(WholePlan(plan, theirs))
    return whole


def _is_sealed_as_the_same(store: Store, seals_of_day: Sequence[Seal], plan: Plan, theirs: Sequence[str]) -> bool:
    """Whether the last sealed rows of the plan's images have the same bytes, whatever their etags."""
    plans = [sealed_plan for seal in seals_of_day if seal.partition == plan.partition for sealed_plan in seal.plans]
    try:
        sealed = _pictures(store, [part.key for sealed_plan in plans for part in sealed_plan.parts]) if plans else {}
        return bool(sealed) and _pictures(store, theirs).items() <= sealed.items()
    except OF_ONE_OBJECT:  # `rd-inspect verify` tells of it
        return False


def _pictures(store: Store, parts: Sequence[str]) -> dict[str, str | None]:
    """SHA-256 of each image's bytes, by key, from the last of these parts with it."""
    tables = (scores.read_columns(store, part, ["image_key", "content_digest"]) for part in parts)
    return {
        key: digest for table in tables for key, digest in zip(*(c.to_pylist() for c in table.columns), strict=True)
    }


def _sealed_images(store: Store, seals_of_day: Sequence[Seal], partition: Partition) -> set[tuple]:
    plans = [plan for seal in seals_of_day if seal.partition == partition for plan in seal.plans]
    return {image for plan in plans for image in manifests.read_columns(store, plan.manifest, "key", "etag")}


def _parts_of(plan: Plan, parts: Collection[str]) -> tuple[str, ...] | None:
    """The plan's parts, if each of its batches has one."""
    if plan.batch_size < 1:
        return None
    complete = []
    for index in range(-(-plan.images // plan.batch_size)):
        part = _part_of(plan, index, parts)
        if part is None:
            return None
        complete.append(part)
    return tuple(complete)


def _part_of(plan: Plan, index: int, parts: Collection[str]) -> str | None:
    where, name = plan.partition, plan.digest
    for _ in range(_MENDED_AT_MOST):
        name = layout.part_key(where.category, where.run_date, where.model_version, batch_digest(name, index))
        if name in parts:
            return name
    return None
