"""Merging of days: copies many small sealed parts into one large file a day, checked against their seals."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from storage import layout
from storage.analysis.merged_days import (
    LATEST_FIRST,
    OF_ITS_PLAN,
    SCHEMA,
    Files,
    copies,
    forgotten,
    put_into_index,
    read_index,
    read_merged_days,
    seals_by_day,
)
from storage.errors import CorruptObject, KeyNotFound
from storage.partitions import scores, seal_rows, seals
from storage.partitions.seals import Seal
from storage.stores import parquet
from storage.stores.store import Store

ROW_GROUP = 122_880
"""rows of DuckDB's row group, the work unit of one of its threads"""
_DAYS_AT_ONCE = 16
"""days merged before the index is written: the work an interruption loses"""
_OF_COPY = pa.schema(list(SCHEMA)[: -len(seal_rows.SCHEMA)])
_KEEP = timedelta(days=1)
"""seconds, for readers that began before a copy was dropped from the index"""


@dataclass(frozen=True)
class Merging:
    """The result of a merge."""

    days: int
    """number merged now"""
    rows: int
    """in the copies"""
    parts: int
    """that held these rows"""
    held: int
    """number of days whose copies were valid already"""
    changing: tuple[date, ...]
    """days left alone because a seal changed meanwhile"""
    damaged: tuple[str, ...]
    """why days cannot be merged, a sentence each"""
    removed: int
    """number of copies removed"""


def merge_days(store: Store, *, now: datetime, tell: Callable[[date], None] = lambda _: None) -> Merging:
    """Merge every sealed day without a valid copy; `tell` is called before each.

    Seals and parts stay unchanged. The index names a copy only when it is complete, so an interruption costs at most
    a few days' work. A day with a damaged part is not merged.
    """
    sealed_now = seals_by_day(store)
    before, there = read_merged_days(store, sealed_now), copies(store)
    held = {day.run_date for day in before.days} if before else set()
    known = len(held)
    done: list[tuple[int, int]] = []
    changing, damaged = [], []
    waiting: dict[date, pa.Table] = {}
    for day in sorted(sealed_now.keys() - held):
        tell(day)
        try:
            merged = _merge_day(store, day, sealed_now[day], there)
        except CorruptObject as e:
            damaged.append(str(e))
            continue
        if merged is None:
            changing.append(day)
            continue
        waiting[day], is_new = merged
        if is_new:
            done.append((sum(merged[0]["images"].to_pylist()), sum(merged[0]["parts"].to_pylist())))
        else:
            known += 1
        if len(waiting) == _DAYS_AT_ONCE:
            put_into_index(store, waiting)
            waiting = {}
    gone = set(read_index(store)["run_date"].to_pylist()) - sealed_now.keys()
    if waiting or gone:
        put_into_index(store, waiting, gone)
    rows, parts = (sum(counts) for counts in zip(*done, strict=True)) if done else (0, 0)
    return Merging(len(done), rows, parts, known, tuple(changing), tuple(damaged), _remove_forgotten(store, now))


def _merge_day(
    store: Store, day: date, listed: frozenset[tuple[str, str]], there: Mapping[str, Files]
) -> tuple[pa.Table, bool] | None:
    """(index rows of the day's copy, whether it was written now), or None if a seal changed meanwhile.

    In a copied store the seals have other etags but the same content: their copies are indexed again, not rewritten.
    """
    read = dict(_read_seals(store, listed))
    if {(key, etag) for key, (etag, _) in read.items()} != listed:
        return None
    sealed = [seal for _, seal in read.values()]
    if files := there.get(layout.merged_key(day, _digest(sealed))):
        return _index_rows(read, files), False
    return write_copy(store, day, read, _sealed_rows(store, sealed)), True


def write_copy(store: Store, day: date, read: Mapping[str, tuple[str, Seal]], rows: pa.Table) -> pa.Table:
    """Write the copy of a day's `rows`, from the seals `read` (key -> (etag, seal)); returns its index rows."""
    sealed = [seal for _, seal in read.values()]
    latest, superseded = _split(rows, seal_rows.to_table(sealed))
    digest = _digest(sealed)
    first = _write(store, layout.merged_key(day, digest), latest)
    second = _write(store, layout.merged_key(day, digest, superseded=True), superseded) if len(superseded) else None
    return _index_rows(read, (*first, *(second or (None, None))))


def _index_rows(read: Mapping[str, tuple[str, Seal]], files: Files) -> pa.Table:
    tables = []
    for key, (etag, seal) in read.items():
        plans = seal_rows.to_table([seal])
        table = seal_rows.as_table(_OF_COPY, [(key, etag, scores.SCHEMA_VERSION, *files)] * len(plans))
        tables.append(pa.Table.from_arrays([*table.columns, *plans.columns], schema=SCHEMA))
    return pa.concat_tables(tables)


def _read_seals(store: Store, listed: frozenset[tuple[str, str]]) -> Iterator[tuple[str, tuple[str, Seal]]]:
    for key, _ in sorted(listed):
        try:
            data, etag = store.read_with_etag(key)
        except KeyNotFound:
            continue  # removed since it was listed
        yield key, (etag, seals.from_bytes(data, store.address(key)))


def _sealed_rows(store: Store, sealed: Sequence[Seal]) -> pa.Table:
    """All sealed rows of a day, sorted by category, model version and image."""
    tables = [scores.SCHEMA.empty_table()]
    for part in (part for seal in sealed for plan in seal.plans for part in plan.parts):
        address = store.address(part.key)
        try:
            data = store.read(part.key)
        except KeyNotFound as e:
            raise CorruptObject(
                f"{address} is missing, so its day is not merged. For the cure: rd-inspect verify"
            ) from e
        as_sealed = hashlib.sha256(data).hexdigest() == part.digest
        table = scores.part_of_bytes(data, address) if as_sealed else None
        if table is None or len(table) != part.rows:
            raise CorruptObject(
                f"{address} does not match its seal, so its day is not merged. For the cure: rd-inspect verify --deep"
            )
        tables.append(table)
    order = [(name, "ascending") for name in ("category", "model_version", "image_key", "map_store")]
    return pa.concat_tables(tables).sort_by(order)


def _split(rows: pa.Table, plans: pa.Table) -> tuple[pa.Table, pa.Table]:
    """(each image's latest row, the other rows). All rows of an image are of one day, which its key names."""
    if not _is_contested(plans):
        return rows, rows.slice(0, 0)
    numbered = rows.append_column("_row", pa.array(range(len(rows)), pa.int64()))
    with duckdb.connect() as connection:
        connection.register("scores", numbered.select(["_row", "image_key", "model_version", "map_store"]))
        connection.register("seals", plans)
        first = f"SELECT _row, {LATEST_FIRST} = 1 AS first FROM scores LEFT JOIN seals {OF_ITS_PLAN} ORDER BY _row"
        holds = connection.sql(first).to_arrow_table()["first"].combine_chunks()
    return rows.filter(holds), rows.filter(pc.invert(holds))


def _is_contested(plans: pa.Table) -> bool:
    """Whether an image may have two rows: only different plans can repeat it."""
    categories = plans["category"].to_pylist()
    return len(set(categories)) < len(categories)


def _digest(sealed: Sequence[Seal]) -> str:
    """SHA-256 (hex, 16 characters) of the sealed content and the columns: equal content has an equal copy."""
    parts = sorted((part.key, part.digest) for seal in sealed for plan in seal.plans for part in plan.parts)
    times = sorted((plan.digest, plan.sealed_at.isoformat()) for seal in sealed for plan in seal.plans)
    return hashlib.sha256(json.dumps([scores.SCHEMA_VERSION, parts, times]).encode()).hexdigest()[:16]


def _write(store: Store, key: str, rows: pa.Table) -> tuple[str, int]:
    data = parquet.to_bytes(rows, row_group_size=ROW_GROUP)
    store.write(key, data)
    return key, len(data)


def _remove_forgotten(store: Store, now: datetime) -> int:
    old = [info for info in forgotten(store) if now - info.modified >= _KEEP]
    for info in old:
        store.remove(info.key)
    return len(old)
