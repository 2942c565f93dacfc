"""A table of every normal that a retraining considered, with its use or the reason against it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

import pyarrow as pa

from storage.filesystem import Store
from storage.stores import parquet

NEW, REPLAYED = "new", "replayed"
USED = (NEW, REPLAYED)
CONTRADICTION = "contradiction"
TOO_OLD = "too old"
UNREADABLE = "unreadable"
NEAR_DUPLICATE = "near-duplicate"
QUARANTINED = "quarantined"
PART_IS_FULL = "enough of its part"
DAY_IS_FULL = "enough of its day"
NOT_REPLAYED = "enough old ones"
LABEL_CHANGED = "label changed"
LEFT_OUT = (
    QUARANTINED,
    CONTRADICTION,
    NEAR_DUPLICATE,
    UNREADABLE,
    TOO_OLD,
    PART_IS_FULL,
    DAY_IS_FULL,
    LABEL_CHANGED,
    NOT_REPLAYED,
)
"""reasons against using a normal, most urgent first"""

SCHEMA = pa.schema(
    [
        pa.field("image_key", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("why", pa.string()),
        pa.field("is_new", pa.bool_(), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("part", pa.string()),
        pa.field("labelled_by", pa.string()),
        pa.field("labelled_at", pa.timestamp("us", "UTC")),
        pa.field("score", pa.float64()),
        pa.field("outlying", pa.float64()),
        pa.field("other_key", pa.string()),
    ]
)


@dataclass(frozen=True)
class ConsideredNormal:
    """One image that is or was labelled normal for training."""

    image_key: str
    state: str
    """one of USED or LEFT_OUT"""
    why: str | None
    """a sentence; None if it is used"""
    is_new: bool
    """not in the champion's card"""
    day: date
    """production day; the label's day if the key has none"""
    part: str | None
    labelled_by: str | None
    labelled_at: datetime | None
    """UTC; None for an old one without a label now"""
    score: float | None = None
    """the champion's score; None without one"""
    outlying: float | None = None
    """robust z of the score's logarithm among the new normals of about that day"""
    other_key: str | None = None
    """the image that it nearly duplicates"""


def write_considered(store: Store, key: str, rows: Sequence[ConsideredNormal]) -> None:
    """Write `rows` under `key`, sorted by image key."""
    ordered = sorted(rows, key=lambda row: row.image_key)
    arrays = [pa.array([getattr(row, field.name) for row in ordered], field.type) for field in SCHEMA]
    store.write(key, parquet.to_bytes(pa.Table.from_arrays(arrays, schema=SCHEMA)))


def read_considered(store: Store, key: str) -> list[ConsideredNormal]:
    """The result of `write_considered`. Raises KeyNotFound, CorruptObject."""
    table = parquet.from_bytes(store.read(key), store.address(key))
    columns = [table[field.name].to_pylist() for field in fields(ConsideredNormal)]
    return [ConsideredNormal(*row) for row in zip(*columns, strict=True)]
