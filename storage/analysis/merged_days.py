"""Merged days: copies of a production day's sealed rows in one or two large files, for queries.

Seals and parts stay the truth. The index names the seals, by etag, of each copy; a copy is used only while the day
has exactly these seals and the copy its size. Otherwise queries read the day's parts, so a missing or old copy never
changes an answer.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from storage import layout
from storage.errors import OF_ONE_OBJECT, CorruptObject
from storage.partitions import scores, seal_rows
from storage.records import ObjectInfo
from storage.stores import parquet
from storage.stores.store import Store
from storage.stores.swap import swap

SCHEMA = pa.schema(
    [
        pa.field("seal_key", pa.string(), nullable=False),
        pa.field("seal_etag", pa.string(), nullable=False),
        pa.field("rows_version", pa.int32(), nullable=False),
        pa.field("latest", pa.string(), nullable=False),
        pa.field("latest_size", pa.int64(), nullable=False),
        pa.field("superseded", pa.string()),
        pa.field("superseded_size", pa.int64()),
        *seal_rows.SCHEMA,
    ]
)
"""of the index: one row for each sealed plan, with the copy that has its rows"""
_FILES = ("latest", "superseded")
_TOLD = ("latest", "latest_size", "superseded", "superseded_size")
Files = tuple[str, int, str | None, int | None]
"""key and size of the files with a copy's latest and superseded rows, as in the index"""
OF_ITS_PLAN = "ON scores.map_store = seals.map_store AND scores.model_version = seals.model_version"
"""SQL: a row of `scores` and its plan in `seals`. Each plan of a version has maps of its own; versions with the same
weights may share them"""
LATEST_FIRST = """row_number() OVER (
    PARTITION BY scores.image_key
    ORDER BY seals.sealed_at DESC NULLS LAST, scores.model_version DESC
)"""
"""1 for the row in force of an image, in `scores` LEFT JOIN `seals` OF_ITS_PLAN; storage.partitions.rows_in_force
has the same order"""


@dataclass(frozen=True)
class MergedDay:
    """One day's copy, from the index."""

    run_date: date
    seals: frozenset[tuple[str, str]]
    """(key, etag) of the seals it was made of"""
    latest: str
    """key of the file with each image's latest row"""
    superseded: str | None
    """key of the file with the superseded rows; None if there are none"""


@dataclass(frozen=True)
class MergedDays:
    """The days with and without valid copies."""

    days: tuple[MergedDay, ...]
    """days with valid copies"""
    plans: pa.Table
    """their sealed plans, with seal_rows.SCHEMA's columns"""
    others: tuple[date, ...]
    """sealed days whose parts must be read"""

    @property
    def latest(self) -> list[str]:
        return [day.latest for day in self.days]

    @property
    def superseded(self) -> list[str]:
        return [day.superseded for day in self.days if day.superseded]


def read_merged_days(
    store: Store, sealed: Mapping[date, frozenset[tuple[str, str]]] | None = None
) -> MergedDays | None:
    """The valid copies, from one listing of the seals, or from `sealed` as `seals_by_day` gives it; reads no seal.
    None if nothing was ever merged."""
    index = read_index(store)
    if not len(index):
        return None
    there = {info.key: info.size for info in store.list(layout.MERGED_PREFIX)}
    whole = _whole(index, there)
    listed = seals_by_day(store) if sealed is None else sealed
    days = tuple(day for day in _days(whole) if listed.get(day.run_date) == day.seals)
    held = pa.array([day.run_date for day in days], pa.date32())
    plans = whole.filter(pc.is_in(whole["run_date"], held)).select(seal_rows.SCHEMA.names)
    return MergedDays(days, plans, tuple(sorted(listed.keys() - {day.run_date for day in days})))


def copies(store: Store) -> dict[str, Files]:
    """All complete copies in the index, valid or not, by the key of their latest rows."""
    there = {info.key: info.size for info in store.list(layout.MERGED_PREFIX)}
    index = _whole(read_index(store), there)
    files = zip(*(index[name].to_pylist() for name in _TOLD), strict=True)
    return {latest: (latest, size, *superseded) for latest, size, *superseded in files}


def read_index(store: Store) -> pa.Table:
    """The index with SCHEMA's columns; empty if it is missing or unreadable."""
    try:
        return _index(store.read(layout.MERGED_INDEX_KEY), store)
    except OF_ONE_OBJECT:
        return SCHEMA.empty_table()


def seals_by_day(store: Store, only: date | None = None) -> dict[date, frozenset[tuple[str, str]]]:
    """(key, etag) of every seal, or of one day's, by production day."""
    by_day: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for info in store.list(layout.seals_prefix(only)):
        if layout.seal_partition(info.key):
            by_day[info.key.split("/", 2)[1]].add((info.key, info.etag))
    days = {folder: layout.folder_day(folder) for folder in by_day}
    return {day: frozenset(by_day[folder]) for folder, day in days.items() if day is not None}


def put_into_index(store: Store, merged: Mapping[date, pa.Table], gone: Collection[date] = ()) -> None:
    """Replace the index rows of these days, and drop those of the days in `gone`."""
    changed = pa.array([*merged, *gone], pa.date32())

    def change(data: bytes | None) -> bytes | None:
        before = SCHEMA.empty_table()
        if data is not None:
            with suppress(CorruptObject):  # the index is a copy too: what it told of can be merged again
                before = _index(data, store)
        kept = before.filter(pc.invert(pc.is_in(before["run_date"], changed)))
        return parquet.to_bytes(pa.concat_tables([kept, *merged.values()]))

    swap(store, layout.MERGED_INDEX_KEY, change, unfinished="to tell of merged days; queries read their parts.")


def forgotten(store: Store) -> list[ObjectInfo]:
    """Copies that are not in the index."""
    index = read_index(store)
    named = {key for name in _FILES for key in index[name].to_pylist()} | {layout.MERGED_INDEX_KEY}
    return [info for info in store.list(layout.MERGED_PREFIX) if info.key not in named]


def _index(data: bytes, store: Store) -> pa.Table:
    address = store.address(layout.MERGED_INDEX_KEY)
    table = parquet.from_bytes(data, address)
    if not table.schema.equals(SCHEMA):
        raise CorruptObject(f"{address} has other columns, so no copy is used. Merge the days again.")
    return table


def _whole(index: pa.Table, there: Mapping[str, int]) -> pa.Table:
    """Index rows whose copies have the right size and today's columns."""
    holds = pc.equal(index["rows_version"], scores.SCHEMA_VERSION)
    for name in _FILES:
        sizes = {key: there.get(key, -1) for key in index[name].unique().to_pylist() if key is not None}
        damaged = [key for key, size in _sizes(index, name) if sizes[key] != size]
        lost = pc.is_in(index[name], pa.array(damaged, pa.string()))
        holds = pc.and_(holds, pc.invert(lost))
    return index.filter(holds)


def _sizes(index: pa.Table, name: str) -> Iterable[tuple[str, int]]:
    pairs = index.select([name, f"{name}_size"]).group_by([name, f"{name}_size"]).aggregate([])
    return [(key, size) for key, size in zip(pairs[0].to_pylist(), pairs[1].to_pylist(), strict=True) if key]


def _days(index: pa.Table) -> list[MergedDay]:
    names = ["run_date", "seal_key", "seal_etag", *_FILES]
    made_of: defaultdict[tuple[date, str, str | None], set[tuple[str, str]]] = defaultdict(set)
    for day, key, etag, latest, superseded in zip(*(index[name].to_pylist() for name in names), strict=True):
        made_of[day, latest, superseded].add((key, etag))
    return [
        MergedDay(day, frozenset(seals), latest, superseded)
        for (day, latest, superseded), seals in sorted(made_of.items(), key=lambda item: item[0][0])
    ]
