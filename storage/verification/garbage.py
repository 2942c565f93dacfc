"""Objects that no seal names: left by runs that ended before their seal, unfinished trainings and comparisons, and
maps past their retention."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from storage import layout
from storage.errors import OF_ONE_OBJECT
from storage.partitions import seals
from storage.records import ObjectInfo, Partition
from storage.stores.store import Store
from storage.verification.claims import WholePlan, doubts, read_claims, whole_plans

PART, MAPS, MANIFEST, PAST = "part", "maps", "manifest", "maps past retention"
TEMPORARY, TRAINING, COMPARISON = "temporary file", "unfinished training", "unfinished comparison"
_ORDER = (PART, MAPS, MANIFEST, PAST, TEMPORARY, TRAINING, COMPARISON)
"""order of removal: an existing part promises its maps, an existing plan its manifest"""


@dataclass(frozen=True)
class Leftover:
    """A removable object, which no sealed score depends on."""

    what: str
    """'part', 'maps', 'manifest', 'maps past retention', 'temporary file', 'unfinished training' or 'unfinished
    comparison'"""
    key: str
    """key of the object, or of a map store with its objects; the prefix of a comparison's folder"""
    category: str | None
    run_date: date | None
    """None for a temporary file, a training or a comparison"""
    objects: int
    size: int
    """bytes, of all its objects"""
    modified: datetime
    """UTC; of its youngest object"""


@dataclass(frozen=True)
class Kept:
    """An unsealed object that stays, because a seal could mean it."""

    category: str
    run_date: date
    why: str
    whole: WholePlan | None = None
    """a completely scored, unsealed plan; None: everything of the day stays"""


@dataclass(frozen=True)
class UnsealedObjects:
    """Unsealed objects: removable ones and those that stay."""

    leftovers: tuple[Leftover, ...]
    kept: tuple[Kept, ...]


def find_unsealed(
    store: Store, first: date | None = None, last: date | None = None, categories: Sequence[str] | None = None
) -> UnsealedObjects:
    """Parts, map stores and manifests of these days and categories that no seal names, of any age.

    All of a category's day stays if one of its seals is unreadable or says less than its manifest. A completely
    scored plan stays: its seal may be lost.
    """
    by_day = [
        _of_day(store, category, day)
        for category, day in _partitions(store, categories)
        if (first is None or first <= day) and (last is None or day <= last)
    ]
    return UnsealedObjects(
        tuple(item for some in by_day for item in some.leftovers),
        tuple(item for some in by_day for item in some.kept),
    )


def removable(leftovers: Sequence[Leftover], *, now: datetime, older_than: timedelta) -> list[Leftover]:
    """Left-overs of days without unsealed objects younger than `older_than`, where a run may be at work."""
    youngest: dict[tuple[str | None, date | None], datetime] = {}
    for leftover in leftovers:
        where = (leftover.category, leftover.run_date)
        youngest[where] = max(youngest.get(where, leftover.modified), leftover.modified)
    return [leftover for leftover in leftovers if now - youngest[leftover.category, leftover.run_date] >= older_than]


def find_old_temporaries(store: Store, *, now: datetime, older_than: timedelta) -> list[Leftover]:
    """Temporary files of a local store."""
    return [
        Leftover(TEMPORARY, info.key, None, None, 1, info.size, info.modified)
        for info in store.temporaries()
        if now - info.modified >= older_than
    ]


def find_old_trainings(store: Store, *, now: datetime, older_than: timedelta) -> list[Leftover]:
    """Training states that nobody has continued."""
    return [
        Leftover(TRAINING, info.key, info.key.split("/")[1], None, 1, info.size, info.modified)
        for info in store.list(f"{layout.TRAININGS}/")
        if now - info.modified >= older_than
    ]


def find_expired_maps(store: Store, *, before: date) -> list[Leftover]:
    """Existing sealed map stores of production days before this one."""
    expired = []
    looked = set[str]()  # versions with the same weights may share maps
    for seal in _readable_seals(store):
        where = seal.partition
        if where.run_date >= before:
            continue
        for plan in seal.plans:
            if plan.map_store in looked:
                continue
            looked.add(plan.map_store)
            infos = list(store.list(f"{plan.map_store}/"))
            inside = layout.map_partition(f"{plan.map_store}/zarr.json")
            if infos and inside == (where.category, where.run_date, plan.map_store):
                expired.append(_leftover(PAST, plan.map_store, where.category, where.run_date, infos))
    return expired


def remove_leftovers(
    store: Store, leftovers: Sequence[Leftover], *, now: datetime, older_than: timedelta
) -> list[Leftover]:
    """Remove these; returns what was removed. Parts go first and manifests last, so that a run resuming the plan
    scores them again.

    Each day is checked again just before: objects that are sealed, gone or younger than `older_than` by then are
    skipped.
    """
    done: list[Leftover] = []
    days: defaultdict[tuple[str | None, date | None], list[Leftover]] = defaultdict(list)
    for leftover in leftovers:
        days[leftover.category, leftover.run_date].append(leftover)
    for (category, day), some in days.items():
        alone = [leftover for leftover in some if leftover.what in (PAST, TEMPORARY, TRAINING, COMPARISON)]
        keys = {leftover.key for leftover in some} - {leftover.key for leftover in alone}
        still = [
            leftover
            for leftover in alone
            if leftover.what not in (TRAINING, COMPARISON) or _is_old(store, leftover, now - older_than)
        ]
        if keys and category is not None and day is not None:
            fresh = removable(_of_day(store, category, day).leftovers, now=now, older_than=older_than)
            still += [leftover for leftover in fresh if leftover.key in keys]
        for leftover in sorted(still, key=lambda leftover: (_ORDER.index(leftover.what), leftover.key)):
            _remove(store, leftover, now)
            done.append(leftover)
    return done


def _is_old(store: Store, leftover: Leftover, before: datetime) -> bool:
    """Whether a training or a comparison has not been continued since the look at it."""
    infos = list(store.list(leftover.key)) if leftover.what == COMPARISON else [store.info(leftover.key)]
    return bool(infos) and all(info is not None and info.modified <= before for info in infos)


def _remove(store: Store, leftover: Leftover, now: datetime) -> None:
    if leftover.what == TEMPORARY:
        store.remove_temporary(leftover.key)
    elif leftover.what in (MAPS, PAST):
        if leftover.what == PAST:
            # Written first: whoever misses the maps finds the reason.
            word = {"expired_at": now.isoformat(), "objects": leftover.objects, "bytes": leftover.size}
            store.write(layout.expired_maps_key(leftover.key), (json.dumps(word, sort_keys=True) + "\n").encode())
        store.remove_tree(f"{leftover.key}/")
    elif leftover.what == COMPARISON:
        store.remove_tree(leftover.key)
    else:
        store.remove(leftover.key)


def _partitions(store: Store, categories: Sequence[str] | None) -> list[tuple[str, date]]:
    """Every (category, day) with written objects, by folders alone."""
    partitions = set()
    for root in (layout.manifests_root(), layout.scores_root()):
        for in_day in store.children(root):
            day = layout.day_named(in_day.removeprefix("run_date="))
            for name in store.children(f"{root}{in_day}/") if day else ():
                partitions.add((name.removeprefix("category="), day))
    for category in store.children(layout.maps_root()):
        days = map(layout.day_named, store.children(f"{layout.maps_root()}{category}/"))
        partitions.update((category, day) for day in days)
    return sorted((name, day) for name, day in partitions if day and (not categories or name in categories))


def _of_day(store: Store, category: str, day: date) -> UnsealedObjects:
    """The day's unsealed objects. Seals are read last, so that a new one counts."""
    groups: defaultdict[tuple[str, str], list[ObjectInfo]] = defaultdict(list)
    for info in store.list(layout.manifests_prefix(category, day)):
        if layout.manifest_partition(info.key):
            groups[MANIFEST, info.key].append(info)
    for info in store.list(layout.day_scores_prefix(category, day)):
        if layout.part_partition(info.key):
            groups[PART, info.key].append(info)
    for info in store.list(layout.day_maps_prefix(category, day)):
        if within := layout.map_partition(info.key):
            groups[MAPS, within[2]].append(info)
    if not groups:
        return UnsealedObjects((), ())
    claims = read_claims(store, category, day)
    unnamed = {(what, key): infos for (what, key), infos in groups.items() if key not in claims.named}
    if unnamed and (why := doubts(store, claims)):
        return UnsealedObjects((), tuple(Kept(category, day, reason) for reason in why))
    whole = whole_plans(
        store,
        claims,
        [key for what, key in unnamed if what == MANIFEST],
        {key for what, key in groups if what == PART},
    )
    kept = {key for plan in whole for key in plan.keys}
    return UnsealedObjects(
        tuple(_leftover(what, key, category, day, some) for (what, key), some in unnamed.items() if key not in kept),
        tuple(
            Kept(category, day, f"plan {plan.plan.digest} is scored whole and not complete", plan) for plan in whole
        ),
    )


def _readable_seals(store: Store) -> Iterator[seals.Seal]:
    for info in store.list(layout.seals_prefix()):
        try:
            if (of := layout.seal_partition(info.key)) and (seal := seals.read_seal(store, Partition(*of))):
                yield seal
        except OF_ONE_OBJECT:
            continue  # `rd-inspect verify` tells of it


def _leftover(what: str, key: str, category: str, day: date, infos: Sequence[ObjectInfo]) -> Leftover:
    size, youngest = sum(info.size for info in infos), max(info.modified for info in infos)
    return Leftover(what, key, category, day, len(infos), size, youngest)
