"""The sealed scores of one model's weights and view over a window of days: each image once, by its latest row."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rd_core.drift.causes import OF_ROWS
from storage.filesystem import Store
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import scores, seals
from storage.partitions.rows_in_force import rows_in_force

_COLUMNS = ("image_key", "score", "status", *OF_ROWS)
_READERS = 8
"""threads; reading small parts mostly waits for the store"""


@dataclass(frozen=True, eq=False)
class WindowScores:
    """One model version's scores over production days. Arrays hold the scored images, in order of day."""

    days: NDArray[np.int64]
    """(m,) ordinals"""
    scores: NDArray[np.float64]
    """(m,)"""
    statistics: dict[str, NDArray[np.float64]]
    """(m,) by name, NaN if missing in the row"""
    keys: pa.ChunkedArray
    """(m,) image keys"""
    sealed_days: tuple[date, ...]
    """with a row, scored or not"""
    images: int
    """all images, scored or not"""
    unreadable: int
    rejected: int


def read_window(store: Store, card: ModelCard, first_day: date, last_day: date) -> WindowScores:
    """Rows of `comparable_versions` that are the latest of their image, on the days from first to last, both
    included."""
    days = [first_day + timedelta(days=i) for i in range((last_day - first_day).days + 1)]
    with ThreadPoolExecutor(_READERS) as pool:
        versions = map(comparable_versions(store, card), days)
        of = (repeat(store), repeat(card.category), versions, days, repeat(_COLUMNS))
        tables = list(pool.map(rows_of_day, *of))
    with_rows = [(day, table) for day, table in zip(days, tables, strict=True) if table.num_rows]
    everything = pa.concat_tables([_empty(_COLUMNS), *(table for _, table in with_rows)])
    ordinals = np.repeat(
        np.array([day.toordinal() for day, _ in with_rows], dtype=np.int64), [t.num_rows for _, t in with_rows]
    )
    ok = pc.equal(everything["status"], "ok")
    scored = everything.filter(ok)
    return WindowScores(
        days=ordinals[ok.to_numpy()],
        scores=_floats(scored["score"]),
        statistics={name: _floats(scored[name]) for name in OF_ROWS},
        keys=scored["image_key"],
        sealed_days=tuple(day for day, _ in with_rows),
        images=everything.num_rows,
        unreadable=pc.sum(pc.equal(everything["status"], "unreadable")).as_py() or 0,
        rejected=pc.sum(pc.equal(everything["status"], "rejected")).as_py() or 0,
    )


def comparable_versions(store: Store, card: ModelCard) -> Callable[[date], Collection[str]]:
    """By day, the versions whose scores the card's calibration is compared with: its own, and after the days of a
    recalibration those with the same weights and view. The days it was calibrated on would agree with it anyway."""
    made = card.recalibration
    if made is None:
        return lambda _: (card.version,)
    shared = models.comparable_versions(store, card)
    last = made.last_day or date.min
    return lambda day: shared if day > last else (card.version,)


def rows_of_day(
    store: Store, category: str, versions: Collection[str], day: date, columns: Sequence[str]
) -> pa.Table:
    """Rows of these versions that are the latest of their image. `columns` of SCHEMA, with image_key."""
    sealed = list(seals.list_seals(store, run_date=day, category=category))
    if all(seal.partition.model_version not in versions for seal in sealed):
        return _empty(columns)
    return pa.concat_tables([_empty(columns), *rows_in_force(store, sealed, columns, versions=versions)])


def _empty(columns: Sequence[str]) -> pa.Table:
    return pa.schema([scores.SCHEMA.field(name) for name in columns]).empty_table()


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(m,), NaN for null."""
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
