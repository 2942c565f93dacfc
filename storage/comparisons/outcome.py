"""The outcome of a comparison."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from storage import layout
from storage.comparisons.record import read_record
from storage.errors import OF_ONE_OBJECT, KeyNotFound
from storage.stores import checked_json, json_records
from storage.stores.store import Store

OUTCOME = "comparison.json"
FIGURES = pa.schema(
    [
        pa.field("category", pa.string(), nullable=False),
        pa.field("comparison", pa.string(), nullable=False),
        pa.field("drawn", pa.bool_(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("half", pa.string(), nullable=False),
        pa.field("figure", pa.string(), nullable=False),
        pa.field("of", pa.string()),
        pa.field("n", pa.int64()),
        pa.field("p_value", pa.float64()),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)
"""one row for each figure of a method: see reports.comparison.export.figure_rows"""


@dataclass(frozen=True)
class ComparisonOutcome:
    """What a comparison has found; written last."""

    category: str
    id: str
    method: str | None
    """the named one: the best, or the cheapest of those not worse; None: none is named"""
    seed: int | None
    """of its typical model"""
    sentence: str
    """the verdict with its reason"""
    beyond_chance: bool
    """True: the named method is better than all others beyond chance; False: the cheapest of those not worse"""
    drawn: bool
    every_method: bool
    """whether every method that can be compared here was"""
    contenders: tuple[str, ...]
    """digests of those judged"""
    failed: tuple[str, ...]
    """contenders that failed, and why"""
    figures: Mapping[str, Any]
    """JSON, as in the report"""
    report: str
    """key of the HTML"""
    run_id: str
    made_at: datetime


def write_outcome(store: Store, outcome: ComparisonOutcome) -> None:
    """Replaces an earlier one of the same comparison."""
    key = layout.comparisons_prefix(outcome.category, outcome.id) + OUTCOME
    store.write(key, checked_json.to_bytes(json_records.to_json(outcome)))


def read_outcome(store: Store, category: str, comparison: str) -> ComparisonOutcome | None:
    """None if it is not finished. Raises CorruptObject."""
    try:
        key = layout.comparisons_prefix(category, comparison) + OUTCOME
        return read_record(ComparisonOutcome, store, key, "the outcome of a comparison")
    except KeyNotFound:
        return None


def compared_categories(store: Store) -> list[str]:
    """Those with comparisons, finished or not."""
    return [name for name in store.children(f"{layout.COMPARISONS}/") if layout.is_plain(name)]


def outcomes(store: Store, category: str) -> Iterator[ComparisonOutcome]:
    """The readable outcomes of a category's comparisons, newest first."""
    found = []
    for name in store.children(layout.comparisons_prefix(category)):
        try:
            outcome = read_outcome(store, category, name) if layout.is_plain(name) else None
        except OF_ONE_OBJECT:
            continue  # a damaged one is compared again
        found += [outcome] if outcome else []
    yield from sorted(found, key=lambda outcome: outcome.made_at, reverse=True)
