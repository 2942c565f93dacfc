"""Sealed scores by one model's weights and view: comparable, whichever version sealed them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.drift.causes import OF_ROWS
from rd_core.pictures.alignment import Offset
from storage.filesystem import Store
from storage.layout import folder_day, seals_prefix
from storage.partitions import seals
from storage.partitions.rows_in_force import rows_in_force

_COLUMNS = (
    "image_key",
    "etag",
    "content_digest",
    "status",
    "score",
    "map_store",
    "map_index",
    "image_height",
    "image_width",
    *OF_ROWS,
)


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image with its score."""

    key: str
    day: date
    score: float
    """float32"""
    digest: str | None
    """SHA-256 (hex) of its bytes"""
    statistics: Mapping[str, float]
    """by name, see rd_core.drift.causes.OF_ROWS"""
    size: tuple[int, int] | None = None
    """height and width of the image"""
    offset: Offset | None = None
    """where its part lies; None: it was not aligned"""
    etag: str | None = None
    """of the object that was scored; None: scored just now"""
    map_store: str | None = None
    """where the map is; None: see `anomaly_map`"""
    map_index: int | None = None
    anomaly_map: NDArray[np.float16] | None = field(default=None, repr=False)
    """(H, W); None if it is in `map_store`, or not kept"""


def sealed_days(store: Store, category: str, first: date | None, last: date | None) -> list[date]:
    """Days from first to last, both included, None for no limit, on which the category may have seals; in order."""
    named = (folder_day(name) for name in store.children(seals_prefix()))
    days = sorted(day for day in named if day and (first or day) <= day <= (last or day))
    return [day for day in days if next(iter(store.list(seals_prefix(day, category))), None)]


def sealed_scores(
    store: Store, category: str, versions: Sequence[str], days: Sequence[date]
) -> dict[str, ScoredImage]:
    """By key, the last score of each image that these versions sealed on these days; images without a score are left
    out. Raises CorruptObject for a damaged seal or part."""
    found: dict[str, ScoredImage] = {}
    for day in days:
        sealed = [
            seal
            for seal in seals.list_seals(store, run_date=day, category=category)
            if seal.partition.model_version in versions
        ]
        for table in rows_in_force(store, sealed, _COLUMNS) if sealed else ():
            found |= {row["image_key"]: _scored(row, day) for row in table.to_pylist() if row["status"] == "ok"}
    return found


def last_sealed_day(store: Store, category: str) -> date | None:
    """The category's newest day with a seal."""
    days = sealed_days(store, category, None, None)
    return days[-1] if days else None


def window_before(last: date, days: int) -> date:
    """The first of `days` days that end with `last`."""
    return last - timedelta(days=days - 1)


def _scored(row: Mapping[str, Any], day: date) -> ScoredImage:
    statistics = {name: float("nan") if row[name] is None else row[name] for name in OF_ROWS}
    return ScoredImage(
        row["image_key"],
        day,
        row["score"],
        row["content_digest"],
        statistics,
        None if row["image_height"] is None else (row["image_height"], row["image_width"]),
        Offset.of_row(row),
        row["etag"],
        row["map_store"],
        row["map_index"],
    )
