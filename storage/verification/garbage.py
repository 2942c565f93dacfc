"""What no seal names: what runs left that ended before their seal, trainings before their model, and maps past their
retention."""

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
TEMPORARY, TRAINING = "temporary file", "unfinished training"
_ORDER = (PART, MAPS, MANIFEST, PAST, TEMPORARY, TRAINING)
"""of removal: a part that is there promises its maps, a plan that is there its manifest"""


@dataclass(frozen=True)
class Leftover:
    """Something that can be removed without any sealed score losing what it names."""

    what: str
    """'part', 'maps', 'manifest', 'maps past retention', 'temporary file' or 'unfinished training'"""
    key: str
    """of the object; of a map store, whose objects lie below it"""
    category: str | None
    run_date: date | None
    """None of a temporary file and a training"""
    objects: int
    size: int
    """bytes, of all its objects"""
    modified: datetime
    """UTC; of its youngest object"""


@dataclass(frozen=True)
class Kept:
    """What no seal names and stays all the same, since one could mean it."""

    category: str
    run_date: date
    why: str
    whole: WholePlan | None = None
    """a plan that is scored and not sealed; None: all of the day stays"""


@dataclass(frozen=True)
class Look:
    """What there is beside what is sealed."""

    leftovers: tuple[Leftover, ...]
    kept: tuple[Kept, ...]


def look(
    store: Store, first: date | None = None, last: date | None = None, categories: Sequence[str] | None = None
) -> Look:
    """Parts, map stores and manifests of these days and categories that no seal names, whatever their age: what is
    left over, and what stays.

    All of a day of a category stays if one of its seals does not read or says less than its manifest. A plan that is
    scored whole stays: its seal may have been lost.
    """
    looks = [
        _of_day(store, category, day)
        for category, day in _partitions(store, categories)
        if (first is None or first <= day) and (last is None or day <= last)
    ]
    return Look(
        tuple(item for some in looks for item in some.leftovers), tuple(item for some in looks for item in some.kept)
    )


def removable(leftovers: Sequence[Leftover], *, now: datetime, older_than: timedelta) -> list[Leftover]:
    """Those of days on which nothing unsealed is younger than `older_than`: a run may be at work on all of it."""
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
    """States of trainings that nobody has gone on with."""
    return [
        Leftover(TRAINING, info.key, info.key.split("/")[1], None, 1, info.size, info.modified)
        for info in store.list(layout.trainings_root())
        if now - info.modified >= older_than
    ]


def find_expired_maps(store: Store, *, before: date) -> list[Leftover]:
    """Sealed map stores of production days before this one, as far as they are still there."""
    expired = []
    for seal in _readable_seals(store):
        where = seal.partition
        if where.run_date >= before:
            continue
        for plan in seal.plans:
            infos = list(store.list(f"{plan.map_store}/"))
            inside = layout.map_partition(f"{plan.map_store}/zarr.json")
            if infos and inside == (where.category, where.run_date, plan.map_store):
                expired.append(_leftover(PAST, plan.map_store, where.category, where.run_date, infos))
    return expired


def remove_leftovers(
    store: Store, leftovers: Sequence[Leftover], *, now: datetime, older_than: timedelta
) -> list[Leftover]:
    """Remove these; what was removed. Parts go first and manifests last, so that a run which takes the plan up
    again in between scores again what is gone.

    Each day is looked at once more right before: what is sealed, gone or younger than `older_than` by now is left.
    """
    done: list[Leftover] = []
    days: defaultdict[tuple[str | None, date | None], list[Leftover]] = defaultdict(list)
    for leftover in leftovers:
        days[leftover.category, leftover.run_date].append(leftover)
    for (category, day), some in days.items():
        alone = [leftover for leftover in some if leftover.what in (PAST, TEMPORARY, TRAINING)]
        keys = {leftover.key for leftover in some} - {leftover.key for leftover in alone}
        still = [
            leftover for leftover in alone if leftover.what != TRAINING or _is_old(store, leftover, now - older_than)
        ]
        if keys and category is not None and day is not None:
            fresh = removable(_of_day(store, category, day).leftovers, now=now, older_than=older_than)
            still += [leftover for leftover in fresh if leftover.key in keys]
        for leftover in sorted(still, key=lambda leftover: (_ORDER.index(leftover.what), leftover.key)):
            _remove(store, leftover, now)
            done.append(leftover)
    return done


def _is_old(store: Store, leftover: Leftover, before: datetime) -> bool:
    """Whether nobody has gone on with a training since it was looked at."""
    info = store.info(leftover.key)
    return info is not None and info.modified <= before


def _remove(store: Store, leftover: Leftover, now: datetime) -> None:
    if leftover.what == TEMPORARY:
        store.remove_temporary(leftover.key)
    elif leftover.what in (MAPS, PAST):
        if leftover.what == PAST:
            # Written first: whoever misses the maps finds the reason.
            word = {"expired_at": now.isoformat(), "objects": leftover.objects, "bytes": leftover.size}
            store.write(layout.expired_maps_key(leftover.key), (json.dumps(word, sort_keys=True) + "\n").encode())
        store.remove_tree(f"{leftover.key}/")
    else:
        store.remove(leftover.key)


def _partitions(store: Store, categories: Sequence[str] | None) -> list[tuple[str, date]]:
    """Every (category, day) something was written of, by folders alone."""
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


def _of_day(store: Store, category: str, day: date) -> Look:
    """What no seal of the day names. Seals are read last, so that one that appears meanwhile wins."""
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
        return Look((), ())
    claims = read_claims(store, category, day)
    unnamed = {(what, key): infos for (what, key), infos in groups.items() if key not in claims.named}
    if unnamed and (why := doubts(store, claims)):
        return Look((), tuple(Kept(category, day, reason) for reason in why))
    whole = whole_plans(
        store,
        claims,
        [key for what, key in unnamed if what == MANIFEST],
        {key for what, key in groups if what == PART},
    )
    kept = {key for plan in whole for key in plan.keys}
    return Look(
        tuple(_leftover(what, key, category, day, some) for (what, key), some in unnamed.items() if key not in kept),
        tuple(
            Kept(category, day, f"plan {plan.plan.digest} is scored whole and not complete", plan) for plan in whole
        ),
    )


def _readable_seals(store: Store) -> Iterator[seals.Seal]:
    for info in store.list(layout.seals_prefix()):
        try:
            if of := layout.seal_partition(info.key):
                seal = seals.read_seal(store, Partition(*of))
                if seal is not None:
                    yield seal
        except OF_ONE_OBJECT:
            continue  # `rd-inspect verify` tells of it


def _leftover(what: str, key: str, category: str, day: date, infos: Sequence[ObjectInfo]) -> Leftover:
    size, youngest = sum(info.size for info in infos), max(info.modified for info in infos)
    return Leftover(what, key, category, day, len(infos), size, youngest)
